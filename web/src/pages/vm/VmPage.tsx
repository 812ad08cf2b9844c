import { PageHead } from "@/ui/PageHead";

export default function VmPage() {
  return <PageHead title="Virtual machine" />;
}
