import { PageHead } from "@/ui/PageHead";

export default function Tasks() {
  return <PageHead title="Tasks" />;
}
