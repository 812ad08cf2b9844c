/** The whole page for who is signed in: each part but the first is loaded when it is opened. */
import "@patternfly/react-core/dist/styles/base.css";
import "./app.css";
import "@/look/patternfly.css";
import "@/look/parts.css";
import { QueryClientProvider } from "@tanstack/react-query";
import { Suspense, useEffect } from "react";
import { BrowserRouter, Navigate, Outlet, Route, Routes, useLocation } from "react-router";
import { BASE } from "@/api/base";
import { tellRefusals } from "@/api/http";
import { live } from "@/api/live";
import { queries } from "@/api/queries";
import { session } from "@/api/session";
import { useSignal } from "@/api/signal";
import Dashboard from "@/pages/dashboard/Dashboard";
import { SignInAgain } from "@/pages/signin/SignInAgain";
import { Toasts } from "@/ui/actions";
import { ErrorBoundary } from "@/ui/ErrorBoundary";
import { Loading } from "@/ui/Loading";
import { part } from "@/ui/part";
import { NAMES } from "@/ui/texts/names";
import { refusalWords } from "@/ui/texts/words";
import { ConnectionState, Layout } from "./Layout";
import { NotFound } from "./NotFound";

const Vms = part(() => import("@/pages/vms/Vms"));
const VmPage = part(() => import("@/pages/vm/VmPage"));
const VmWindow = part(() => import("@/pages/vm/VmWindow"));
const Create = part(() => import("@/pages/create/Create"));
const Media = part(() => import("@/pages/media/Media"));
const MediumPage = part(() => import("@/pages/media/MediumPage"));
const HostPage = part(() => import("@/pages/hosts/HostPage"));
const Hosts = part(() => import("@/pages/hosts/Hosts"));
const Groups = part(() => import("@/pages/people/Groups"));
const Users = part(() => import("@/pages/people/Users"));
const Trash = part(() => import("@/pages/trash/Trash"));
const Tasks = part(() => import("@/pages/tasks/Tasks"));
const History = part(() => import("@/pages/history/History"));
const Settings = part(() => import("@/pages/settings/Settings"));

tellRefusals((code, message) => refusalWords(code, message, NAMES));

/** An address behind a #, as those of other programs' pages. With several slashes it would be one of another server. */
const BEHIND_HASH = /^#!?\/[/\\]*(.*)/;

export default function App() {
  useEffect(() => {
    live.open();
    return () => live.close();
  }, []);
  return (
    <QueryClientProvider client={queries}>
      <BrowserRouter basename={BASE}>
        <Pages />
        <Toasts />
      </BrowserRouter>
    </QueryClientProvider>
  );
}

function Pages() {
  const state = useSignal(session.state);
  const location = useLocation();
  if (state.is !== "in" && state.is !== "again") return null;
  const meant = BEHIND_HASH.exec(location.hash)?.[1];
  if (meant !== undefined) return <Navigate to={`/${meant}`} replace />;
  if (state.session.first && location.pathname !== "/settings") return <Navigate to="/settings" replace />;
  return (
    <>
      <Routes>
        <Route path="/window/vms/:vmid/:tab" element={<Bare />} />
        <Route element={<Framed />}>
          <Route path="/" element={<Dashboard />} />
          <Route path="/vms" element={<Vms />} />
          <Route path="/vms/new" element={<Navigate to="/create" replace />} />
          <Route path="/vms/:vmid/:tab?" element={<VmPage />} />
          <Route path="/hosts" element={<Hosts />} />
          <Route path="/hosts/:host" element={<HostPage />} />
          <Route path="/create" element={<Create />} />
          <Route path="/media" element={<Media />} />
          <Route path="/media/:mid" element={<MediumPage />} />
          <Route path="/groups/:gid?" element={<Groups />} />
          <Route path="/users/:uid?" element={<Users />} />
          <Route path="/trash" element={<Trash />} />
          <Route path="/tasks" element={<Tasks />} />
          <Route path="/history" element={<History />} />
          <Route path="/settings" element={<Settings />} />
          <Route path="*" element={<NotFound />} />
        </Route>
      </Routes>
      {state.is === "again" && <SignInAgain session={state.session} />}
    </>
  );
}

function Framed() {
  return (
    <Layout>
      <Suspense fallback={<Loading />}>
        <Outlet />
      </Suspense>
    </Layout>
  );
}

/** A console in a window of its own: nothing around it. */
function Bare() {
  return (
    <main className="v-bare" id="main" aria-label="Console">
      <ErrorBoundary where="window">
        <Suspense fallback={<Loading />}>
          <VmWindow />
        </Suspense>
      </ErrorBoundary>
      <ConnectionState />
    </main>
  );
}
