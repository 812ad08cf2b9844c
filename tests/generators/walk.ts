/** The main path, with the client that openapi-typescript and openapi-fetch make. Its arguments: address, password. */
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.ts";

declare const process: { argv: string[] };
const [, , baseUrl = "", password = ""] = process.argv;
const client = createClient<paths>({ baseUrl });

function granted<T>({
  data,
  error,
}: {
  data?: T;
  error?: components["schemas"]["Error"];
}): Exclude<T, components["schemas"]["Plan"]> {
  if (data === undefined) throw new Error(error?.message ?? "no answer");
  if (typeof data === "object" && data !== null && "plan" in data) throw new Error("a plan");
  return data as Exclude<T, components["schemas"]["Plan"]>;
}

function same(found: unknown, wanted: unknown) {
  if (JSON.stringify(found) !== JSON.stringify(wanted))
    throw new Error(`${JSON.stringify(found)} is not ${JSON.stringify(wanted)}`);
}

const { authkey } = granted(await client.POST("/u/auth", { body: { name: "root", password } }));
client.use({ onRequest: ({ request }) => request.headers.set("authorization", `Bearer ${authkey}`) });

const disk = granted(
  await client.PUT("/m/media/create", { body: { mpid: 1, gid: 0, name: "ts disk", size: 1 << 20 } }),
);
const header = {
  "x-velocity-mpid": 1,
  "x-velocity-gid": 0,
  "x-velocity-name": "ts iso",
  "x-velocity-type": "ISO",
  "x-velocity-readonly": "true",
} as const;
const iso = granted(
  await client.PUT("/m/media/upload", {
    params: { header },
    body: "bytes of a medium",
    bodySerializer: (body) => body,
    headers: { "content-type": "application/octet-stream" },
  }),
);
same(iso.size, 17);

const wanted: components["schemas"]["CreateVm"] = {
  name: "ts",
  gid: 0,
  cpus: 1,
  memory_mib: 64,
  displays: [{ name: "main", width: 640, height: 480, ppi: null }],
  media: [
    { mid: disk.mid, mode: "BLOCK" },
    { mid: iso.mid, mode: "USB", readonly: true },
  ],
  nics: [{ type: "NAT", host: null }],
};
const planned = await client.PUT("/v/vm/efi", { body: { ...wanted, plan: true } });
if (!planned.data || !("plan" in planned.data)) throw new Error("no plan");
same(
  planned.data.steps.map((step) => [step.do, step.kind, step.name]),
  [["create", "vm", "ts"]],
);
const { vmid } = granted(
  await client.PUT("/v/vm/efi", { body: wanted, params: { header: { "Idempotency-Key": "ts 1" } } }),
);
const shown = granted(await client.POST("/v/vm", { body: { vmid } }));
const ppi: number = shown.displays[0]!.ppi;
same([shown.state, ppi, shown.nics], ["STOPPED", 96, [{ type: "NAT" }]]);

for (const state of ["RUNNING", "PAUSED", "RUNNING"] as const)
  same(granted(await client.PUT("/v/vm/state", { body: { vmid, state } })).state, state);
same(granted(await client.POST("/v/vm/state", { body: { vmid } })).state, "RUNNING");
same(granted(await client.PATCH("/v/vm", { body: { vmid, notes: "by TypeScript" } })).vmid, vmid);
same(granted(await client.PUT("/v/vm/state", { body: { vmid, state: "STOPPED", force: true } })).state, "STOPPED");

const missing = await client.POST("/v/vm", { body: { vmid: 999 } });
same([missing.response.status, missing.error?.code], [404, 16110]);
same(granted(await client.DELETE("/v/vm", { body: { vmid, purge: true } })), {});
for (const { mid } of [disk, iso]) same(granted(await client.DELETE("/m/media", { body: { mid, purge: true } })), {});
same(granted(await client.POST("/v/vm/list", { body: { gid: 0 } })).vms, []);
same(granted(await client.POST("/u/user", {})).name, "root");
same(granted(await client.DELETE("/u/auth", {})), {});
console.log("the main path is walked");
