/** The whole page: who is signed in decides what is shown; each page but the first is loaded when it is opened. */
import { QueryClientProvider } from "@tanstack/react-query";
import { lazy, Suspense, useDeferredValue, useEffect } from "react";
import { BrowserRouter, Navigate, Route, Routes, useLocation } from "react-router";
import { BASE } from "@/api/base";
import { live } from "@/api/live";
import { queries } from "@/api/queries";
import { session } from "@/api/session";
import { useSignal } from "@/api/signal";
import Dashboard from "@/pages/dashboard/Dashboard";
import { SignIn } from "@/pages/signin/SignIn";
import { SignInAgain } from "@/pages/signin/SignInAgain";
import { Toasts } from "@/ui/actions";
import { Loading } from "@/ui/Loading";
import { Layout } from "./Layout";

const Vms = lazy(() => import("@/pages/vms/Vms"));
const VmPage = lazy(() => import("@/pages/vm/VmPage"));
const Create = lazy(() => import("@/pages/create/Create"));
const Media = lazy(() => import("@/pages/media/Media"));
const Groups = lazy(() => import("@/pages/people/Groups"));
const Users = lazy(() => import("@/pages/people/Users"));
const Trash = lazy(() => import("@/pages/trash/Trash"));
const Tasks = lazy(() => import("@/pages/tasks/Tasks"));
const History = lazy(() => import("@/pages/history/History"));
const Settings = lazy(() => import("@/pages/settings/Settings"));
const Welcome = lazy(() => import("@/pages/signin/Welcome"));

export function App() {
  return (
    <QueryClientProvider client={queries}>
      <BrowserRouter basename={BASE}>
        <Suspense fallback={<Loading />}>
          <Routes>
            <Route path="*" element={<Root />} />
          </Routes>
        </Suspense>
        <Toasts />
      </BrowserRouter>
    </QueryClientProvider>
  );
}

/** The word of the first sign-in stands behind the #: browsers send that to no server. */
function Root() {
  const word = /^#\/welcome\/(.+)$/.exec(useLocation().hash)?.[1];
  return word === undefined ? <SignedIn /> : <Welcome word={word} />;
}

function SignedIn() {
  const state = useDeferredValue(useSignal(session.state)); // the frame is made in slices, so that nothing waits for it
  const location = useLocation();
  const inside = state.is === "in" || state.is === "again";
  useEffect(() => {
    if (session.state.value.is === "looking")
      session.look().catch(() => session.state.set({ is: "out", reason: "The server does not respond." }));
  }, []);
  useEffect(() => {
    if (!inside) return;
    live.open();
    return () => live.close();
  }, [inside]);
  if (state.is === "looking") return <Loading />;
  if (state.is === "out") return <SignIn reason={state.reason} />;
  if (state.session.first && location.pathname !== "/settings") return <Navigate to="/settings" replace />;
  return (
    <>
      <Layout>
        <Suspense fallback={<Loading />}>
          <Routes>
            <Route path="/" element={<Dashboard />} />
            <Route path="/vms" element={<Vms />} />
            <Route path="/vms/:vmid/:tab?" element={<VmPage />} />
            <Route path="/create" element={<Create />} />
            <Route path="/media" element={<Media />} />
            <Route path="/groups/:gid?" element={<Groups />} />
            <Route path="/users/:uid?" element={<Users />} />
            <Route path="/trash" element={<Trash />} />
            <Route path="/tasks" element={<Tasks />} />
            <Route path="/history" element={<History />} />
            <Route path="/settings" element={<Settings />} />
            <Route path="*" element={<Navigate to="/" replace />} />
          </Routes>
        </Suspense>
      </Layout>
      {state.is === "again" && <SignInAgain session={state.session} />}
    </>
  );
}
