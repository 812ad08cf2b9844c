/** From nothing to a VM that boots: an image, a few settings, the plan, and its console. */
import "./create.css";
import { EmptyState, EmptyStateBody, Skeleton, Wizard, WizardStep } from "@patternfly/react-core";
import type { FocusEvent } from "react";
import { useNavigate } from "react-router";
import { at } from "@/api/base";
import { useMay, useReady } from "@/api/live";
import { showToast } from "@/ui/actions";
import { useGroupsWhere } from "@/ui/groups";
import { PageHead } from "@/ui/PageHead";
import { called } from "@/ui/permissions";
import { Section } from "@/ui/Section";
import { ImageStep } from "./ImageStep";
import { PlanStep } from "./PlanStep";
import { RunProgress } from "./RunProgress";
import { SettingsStep } from "./SettingsStep";
import { useDraft } from "./useDraft";
import { useStepAddress, WizardFoot } from "./WizardFoot";

/** On a phone PatternFly calls the list of steps "Wizard toggle", which is not what stands on it. */
function named(section: HTMLElement | null) {
  section?.querySelector(".pf-v6-c-wizard__toggle")?.removeAttribute("aria-label");
}

/** A step begins at its top: the focus in it has the browser bring its end into sight, and the page's head goes. */
function fromTheTop({ target }: FocusEvent) {
  if (target.classList.contains("pf-v6-c-wizard__main"))
    requestAnimationFrame(() => document.getElementById("main")?.scrollTo({ top: 0 }));
}

export default function Create() {
  const ready = useReady();
  const groups = useGroupsWhere("vm.create");
  return (
    <>
      <PageHead title="Create a virtual machine" />
      {!ready ? (
        <Section>
          <Skeleton height="20rem" screenreaderText="Loading" />
        </Section>
      ) : groups.length === 0 ? (
        <Section>
          <EmptyState titleText="You may not create VMs" headingLevel="h2">
            <EmptyStateBody>
              You need the permission {called("vm.create")} on a group. Ask someone who manages yours.
            </EmptyStateBody>
          </EmptyState>
        </Section>
      ) : (
        <Questions />
      )}
    </>
  );
}

function Questions() {
  const navigate = useNavigate();
  const may = useMay();
  const it = useDraft();
  const address = useStepAddress();
  const { draft, running } = it;
  const { run, made } = running;
  const execute = async () => {
    const vmid = await running.execute(it.order());
    if (vmid === undefined) return;
    it.forget();
    showToast("success", draft.start ? `${draft.name} is running` : `${draft.name} created`);
    if (!location.pathname.startsWith(at("/create"))) return; // the person has gone elsewhere meanwhile
    void navigate(draft.start && may("vm.interact", draft.gid) ? `/vms/${vmid}/console` : `/vms/${vmid}`);
  };
  const back = () => {
    address.set("settings", true);
    running.back();
  };
  if (run)
    return (
      <Section>
        <RunProgress draft={draft} run={run} onAgain={() => void execute()} onBack={back} undo={running.undo} />
      </Section>
    );
  const wrong = Object.keys(it.problems).length > 0;
  const source = it.hasSource ? undefined : "Choose an image, upload one, or take an empty disk.";
  const settings = wrong ? (it.problems.gid ?? "Correct what is marked.") : undefined;
  return (
    <Section className="v-section-wizard" aria-label="Questions" ref={named} onFocus={fromTheTop}>
      <Wizard
        isVisitRequired
        navAriaLabel="Steps"
        onClose={() => {
          it.forget();
          void navigate("/vms");
        }}
        onStepChange={(_event, step) => address.set(step.id)}
        shouldFocusContent
        startIndex={made?.disk ? 2 : 1}
        footer={
          <WizardFoot
            missing={{ image: source, settings: source ?? settings, plan: source ?? settings ?? it.refused }}
            open={(step) => step === "image" || (it.hasSource && (step === "settings" || !wrong))}
            verb={draft.start ? "Create and start" : "Create"}
            lacksRoom={it.lacksRoom}
            refused={it.refused}
            onExecute={() => void execute()}
          />
        }
      >
        <WizardStep id="image" name="Image">
          <ImageStep
            draft={draft}
            chosen={draft.source?.from === "catalogue" ? undefined : it.image?.mid}
            groups={it.groups}
            media={it.media}
            catalogue={it.catalogue}
            fetched={it.fetched}
            locked={made?.disk ? "The disk has already been created from what was chosen here." : undefined}
            refuse={it.noUpload}
            full={it.room.full}
            warning={it.warning}
            onGroup={it.setGroup}
            onHost={it.setHost}
            onMedium={it.setMedium}
            onNamed={it.setNamed}
            onBlank={it.setBlank}
            onFile={it.setFile}
          />
        </WizardStep>
        <WizardStep id="settings" name="Settings" isDisabled={!it.hasSource}>
          <SettingsStep
            draft={draft}
            role={it.role}
            room={it.room}
            problems={it.problems}
            diskMade={made?.disk !== undefined}
            onChange={it.change}
          />
        </WizardStep>
        <WizardStep id="plan" name="Plan" isDisabled={!it.hasSource || wrong}>
          <PlanStep
            draft={draft}
            image={it.image}
            file={it.upload?.file}
            diskMade={made?.disk}
            diskError={it.diskError}
            vmError={it.vmError}
          />
        </WizardStep>
      </Wizard>
    </Section>
  );
}
