/** First steps in an installation without VMs: each with a link, or the command to type. */
import { Button, Card, CardBody, CardFooter, CardTitle, Content, Skeleton, Title } from "@patternfly/react-core";
import type { ReactNode } from "react";
import { useNavigate } from "react-router";
import { live, useMay, useObjects } from "@/api/live";
import { useAnswer } from "@/api/queries";
import { useSignal } from "@/api/signal";
import { Icon } from "@/look/Icon";
import { Code } from "./Code";
import { shell } from "./format";
import { useGroupsWhere } from "./groups";

export function FirstSteps() {
  const navigate = useNavigate();
  const may = useMay();
  const media = useObjects("medium");
  const users = useObjects("user");
  const knowsUsers = useSignal(live.knowsUsers);
  const mayCreate = useGroupsWhere("vm.create").length > 0;
  const mayUpload = useGroupsWhere("media.create").length > 0;
  const mayTeam = may("group.create", 0) && may("user.create", 0);
  const sees = useGroupsWhere("host.view").length > 0;
  const host = useAnswer("post", "/h/host", {}, { enabled: sees });
  const data = host.data?.data_dir;
  const own = data === undefined ? "" : `VELOCITY_DATA_DIR=${shell(data)} `;
  const team = knowsUsers && users.length > 1;
  return (
    <section aria-labelledby="first-steps">
      <Title headingLevel="h2" id="first-steps" className="v-section-title">
        First steps
      </Title>
      <div className="v-cards v-cards-first">
        {mayUpload && (
          <Step
            title="Upload an image"
            done={media.length > 0}
            action={
              <Button variant="secondary" onClick={() => navigate("/media?upload")}>
                {media.length > 0 ? "Upload another" : "Upload an image"}
              </Button>
            }
          >
            An installation ISO that boots EFI, or a disk of another platform: qcow2, VMDK, VDI, VHDX. An interrupted
            upload resumes by itself.
          </Step>
        )}
        {mayCreate && (
          <Step
            title="Create a virtual machine"
            action={<Button onClick={() => navigate("/create")}>Create a virtual machine</Button>}
          >
            Choose an image, decide how much of the host the VM may use, and watch it boot. You can upload an image on
            the way.
          </Step>
        )}
        {mayCreate && mayUpload && may("vm.create", 0) && (
          <Step
            title="Or try a sample guest"
            action={
              host.isLoading ? (
                <Skeleton height="2rem" screenreaderText="Loading the command line" />
              ) : (
                <Code label="Command line" text={`${own}.venv/bin/velocity demo`} />
              )
            }
          >
            Run this in a terminal of the server, where it was installed. It builds a small guest from the
            distribution's own kernel, uploads and boots it. The VM appears here by itself.
          </Step>
        )}
        {mayTeam && (
          <Step
            title="Set up a team"
            done={team}
            action={
              <Button variant="secondary" onClick={() => navigate(team ? "/groups" : "/groups?team")}>
                {team ? "See the groups" : "Set up a team"}
              </Button>
            }
          >
            A group has a share of the host, a share of a pool, and users with permissions on it. They do not see what
            other groups have.
          </Step>
        )}
      </div>
    </section>
  );
}

function Step({
  title,
  done = false,
  action,
  children,
}: {
  title: string;
  done?: boolean;
  action: ReactNode;
  children: ReactNode;
}) {
  return (
    <Card isFullHeight>
      <CardTitle component="h3">
        {title}
        {done && (
          <span className="v-done">
            {" "}
            <Icon name="check" /> done
          </span>
        )}
      </CardTitle>
      <CardBody>
        <Content component="p">{children}</Content>
      </CardBody>
      <CardFooter>{action}</CardFooter>
    </Card>
  );
}
