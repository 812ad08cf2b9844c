/** Images of the catalogue, and which of them are media already. */
import type { Medium } from "@/api/live";
import { useAnswer } from "@/api/queries";
import type { CatalogueImage } from "@/api/schema";

const NONE: CatalogueImage[] = [];

export const useCatalogue = (): CatalogueImage[] => useAnswer("post", "/m/catalogue", {}).data?.images ?? NONE;

/** What was fetched of it and is kept for copies; of the group itself rather than of another one. */
export function fetchedOf(image: { origin: string }, media: readonly Medium[], gid: number): Medium | undefined {
  const kept = media.filter((one) => one.origin === image.origin && one.readonly && one.missing === undefined);
  return kept.find((one) => one.gid === gid) ?? kept[0];
}

/** What it is called as a medium: as launch has it, so that both find it. */
export const baseName = (image: { name: string; origin: string }, taken: ReadonlySet<string>): string =>
  taken.has(image.name) ? `${image.name}-${image.origin.slice(0, 8)}` : image.name;
