import { PageHead } from "@/ui/PageHead";

export default function Create() {
  return <PageHead title="Create a virtual machine" />;
}
