import { PageHead } from "@/ui/PageHead";

export default function Groups() {
  return <PageHead title="Groups" />;
}
