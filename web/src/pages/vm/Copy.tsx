/** Another VM with the same settings. Disks that this one writes to stay with it: one disk, one writer. */
import {
  Alert,
  Button,
  Content,
  Form,
  FormGroup,
  FormHelperText,
  HelperText,
  HelperTextItem,
  List,
  ListItem,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
  TextInput,
} from "@patternfly/react-core";
import { type FormEvent, useState } from "react";
import { useNavigate } from "react-router";
import { call } from "@/api/call";
import { ApiError, messageOf } from "@/api/http";
import { useObjects, type Vm } from "@/api/live";
import type { Attachment, VmInfo } from "@/api/schema";
import { showToast } from "@/ui/actions";
import { Failed } from "@/ui/Failed";
import { count, mib } from "@/ui/format";
import { nameProblem } from "@/ui/problems";
import { SameAs } from "@/ui/SameAs";
import { pickSettings } from "@/ui/vmSettings";
import { useVmInfo } from "./useVmInfo";

export function Copy({ vm, onClose }: { vm: Vm; onClose: () => void }) {
  const info = useVmInfo(vm);
  const [name, setName] = useState(`${vm.name}-2`);
  const [failure, setFailure] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const navigate = useNavigate();
  const media = useObjects("medium");
  const isRead = (one: Attachment) => one.readonly || media.find((it) => it.mid === one.mid)?.readonly === true;
  const left = info.data?.media.filter((one) => !isRead(one)) ?? [];
  const problem = nameProblem(name);
  const body = info.data && bodyOf(info.data, name, isRead);
  const create = async (event: FormEvent) => {
    event.preventDefault();
    if (!body || problem) return;
    setBusy(true);
    setFailure(undefined);
    try {
      const { vmid } = await call("put", "/v/vm/efi", body);
      showToast("success", `${name} is created`);
      onClose();
      void navigate(`/vms/${vmid}/settings`);
    } catch (error) {
      setFailure(error);
      setBusy(false);
    }
  };
  const atName = failure instanceof ApiError && failure.field === "name" ? failure.message : undefined;
  return (
    <Modal isOpen variant="small" onClose={onClose} aria-labelledby="copy-title">
      <ModalHeader title={`Another VM like ${vm.name}`} labelId="copy-title" />
      <ModalBody>
        {info.isError && <Failed error={info.error} what="The VM" again={() => void info.refetch()} />}
        <Form id="copy" onSubmit={(event) => void create(event)}>
          {failure !== undefined && !atName && (
            <Alert component="p" isInline variant="danger" title="It was not created">
              {messageOf(failure)}
            </Alert>
          )}
          <FormGroup label="Name" fieldId="copy-name" isRequired>
            <TextInput
              id="copy-name"
              value={name}
              onChange={(_event, value) => setName(value)}
              validated={problem || atName ? "error" : "default"}
              autoFocus
            />
            {(problem || atName) && (
              <FormHelperText>
                <HelperText isLiveRegion>
                  <HelperTextItem variant="error">{problem ?? atName}</HelperTextItem>
                </HelperText>
              </FormHelperText>
            )}
          </FormGroup>
          {info.data && (
            <Content component="p">
              With {count(info.data.cpus, "CPU")}, {mib(info.data.memory_mib)}, its displays and NICs, and the media
              that it only reads; in the same group.
            </Content>
          )}
          {left.length > 0 && (
            <Alert component="p" isInline variant="info" title="Left out, because a disk can have only one writer">
              <List>
                {left.map((one) => (
                  <ListItem key={one.mid}>{media.find((it) => it.mid === one.mid)?.name ?? one.mid}</ListItem>
                ))}
              </List>
              To use such a disk, clone it under Media and attach the clone.
            </Alert>
          )}
        </Form>
        {body && <SameAs request={{ method: "put", path: "/v/vm/efi", body }} />}
      </ModalBody>
      <ModalFooter>
        <Button type="submit" form="copy" isLoading={busy} isDisabled={busy || !body || problem !== undefined}>
          Create
        </Button>
        <Button variant="link" onClick={onClose}>
          Cancel
        </Button>
      </ModalFooter>
    </Modal>
  );
}

function bodyOf(info: VmInfo, name: string, isRead: (one: Attachment) => boolean) {
  const { autostart: _own, ...settings } = pickSettings(info);
  const nics = info.nics.map(({ id: _its, mac: _own, ...nic }) => nic);
  return { ...settings, name, gid: info.gid, media: info.media.filter(isRead), nics };
}
