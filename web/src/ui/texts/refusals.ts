/** What people are told when the server refuses, by the number of the error: the one place for these sentences. */

const NO_GROUP = "That group no longer exists, or you may not see it. Choose another one.";
const NO_POOL = "That pool does not exist any more, or is not assigned to the group. Choose another one.";
const NO_MEDIUM = "That medium no longer exists, or the group may not use it. Choose another one.";

/** A sentence that ends with a colon goes on with the server's own words: they have the names and the amounts. */
const SENTENCES: readonly (readonly [sentence: string, ...codes: number[]])[] = [
  // of every operation
  ["Something typed here is not valid:", 400],
  ["Your session has ended. Sign in again.", 100, 1400, 1401, 9211],
  ["Your session was renewed in another tab. Reload the page, then try again.", 101],
  ["This server does not know what was asked for. Reload the page: it may be of another version.", 404, 405, 415, 426],
  ["The server does not take this page for its own. Reload it.", 403],
  ["The connection is too slow, or was interrupted. Try again.", 408],
  ["It was sent twice, with different content. Reload the page, and look whether it was done.", 409],
  ["That is too large for the server:", 413, 431],
  ["The server has too much to do for you at the moment:", 429],
  ["The server failed. Try again; if it fails again, tell who runs it the number of the request.", 500],
  ["The server cannot do it now:", 503],
  [
    "You may not do this:",
    ...[2100, 2200, 2300, 2400, 3100, 4200, 4300, 5100, 5200, 5300, 6200, 6300, 7100, 8200, 9100, 9200, 9300, 10100],
    ...[11100, 12200, 13100, 13200, 14100, 14300, 16300, 16400, 17100, 18100, 18200, 19100, 20100, 21200, 22200, 23100],
    ...[23300, 24100, 25200, 25300, 27100, 30100, 31100, 33100, 34100, 35100, 38200, 49200],
  ],
  [
    "It was changed by someone else in the meantime. Look at it as it is now, then decide again.",
    ...[2321, 2420, 4221, 4321, 5323, 6221, 6320, 14321, 16321, 16429, 18221],
  ],
  // users, and what they may
  ["The name or the password is wrong.", 1100],
  ["The name, the password or the link is wrong.", 28200],
  ["That session has already ended.", 28310],
  ["That user no longer exists, or you may not see them.", 2110, 2310, 2410, 4210, 4310, 20110],
  ["A user with that name already exists. Choose another name.", 2220],
  ["The group cannot be the home of more users:", 2221, 2421],
  ["That user cannot be removed: nobody removes root or themselves.", 2320],
  ["There is no such permission. Reload the page: it may be of another version.", 4212, 4312, 20111],
  ["You can give only what you may do yourself:", 4220],
  ["Root keeps all permissions on the root group.", 4320],
  // groups
  [NO_GROUP, 2210, 2411, 4211, 4311, 5110, 5210, 5310, 6210, 6310, 7110, 8210, 9110, 9217, 10110, 12210, 17110],
  [NO_GROUP, 18110, 18210, 21210, 22210, 24110, 27110, 49210],
  ["There is already a group with that name here. Choose another name.", 5220],
  ["Groups cannot be nested that deeply. Create it further up.", 5221],
  ["This group cannot have more subgroups. Create it under another one.", 5222],
  ["The root group cannot be deleted.", 5320],
  ["Not all of its VMs are stopped:", 5321],
  ["Something in it is used elsewhere:", 5322],
  ["The limits do not fit those of the groups above and below:", 18220],
  // pools
  [NO_POOL, 6211, 6311, 8211, 9218, 21211, 22211, 49211],
  ["The root group always has every pool without limit.", 6220],
  ["The group may not create media in this pool. Choose another pool, or ask for “manage” there.", 8201, 9201],
  ["The group may not create media in this pool. Choose another pool, or ask for “manage” there.", 21201, 22201, 49201],
  ["There is not enough room:", 8221, 9221, 21221, 22221, 49221],
  ["The pool cannot be written to now:", 5324, 8222, 9225, 13223, 14121, 14322, 21224, 22224, 49222],
  // media and uploads
  [NO_MEDIUM, 12211, 14110, 14310, 16411, 21212, 22212],
  ["The group already has a medium with that name in this pool. Choose another name.", 8220, 21220, 22220, 49220],
  ["The group already has, or is being sent, a medium with that name in this pool:", 9220],
  ["The medium is attached to a VM:", 14320],
  ["The medium is in use:", 12228, 13224, 14120, 16428, 21223, 22223],
  ["No disk can be made of this:", 21222],
  ["The upload cannot begin:", 9210, 9212, 9213, 9214, 9215, 9216],
  ["That upload is not there any more. Start it again.", 410, 9219, 9310],
  ["The file has changed while it was being sent. Upload it again.", 9222, 9224],
  ["What arrived is not what was sent. Upload the file again.", 9223],
  ["The upload was ended:", 9226],
  // virtual machines
  ["That VM no longer exists, or you may not see it.", 13110, 13210, 16110, 16310, 16410, 19110, 30110, 31110],
  ["That VM no longer exists, or you may not see it.", 33110, 34110, 38210],
  ["The group already has a VM with that name. Choose another name.", 12223, 16423],
  ["Not so many CPUs:", 12220, 16420],
  ["Not so much memory:", 12221, 16421],
  ["The group cannot have more VMs:", 12222],
  ["Two displays have the same name. Give each its own.", 12224, 16424],
  ["Media cannot be attached in that way:", 12225, 16425],
  ["There is no such kind of NIC:", 12226, 16426],
  ["Choose the host NIC that the bridged NIC is connected to.", 12227, 16427],
  ["That NIC is not the VM's any more. Look at its NICs as they are now.", 12212, 16412],
  ["That host NIC does not exist any more. Choose another one.", 12214, 16414],
  ["The MAC address is taken:", 12229, 16440],
  ["This host cannot give that:", 12240, 16422],
  ["Not in its present state:", 13220, 13221, 38220],
  ["The host does not have enough free memory:", 13222],
  ["The VM could not do it:", 13230, 38230],
  ["Stop the VM first:", 16320],
  ["One of its disks is attached to another VM:", 16322],
  ["The pool of one of its disks cannot be written to now:", 16323],
  ["The VM is stopped. Start it first.", 19120, 31120, 34120],
  ["The VM has no such display. Look at its displays as they are now.", 19121, 31121],
  ["Text on screens cannot be read:", 31122, 32120],
  ["There is no picture of the screen:", 31130],
  // tasks and trash
  ["That task no longer exists, or you may not see it.", 23110, 23310],
  ["It is not in the trash any more.", 25210, 25310],
  ["The group that it belonged to no longer exists, so it has no place to return to.", 25211],
  ["One of its media is gone or in the trash itself: restore that first.", 25212],
  ["Its pool is no longer part of this server.", 25213],
  ["The group now has a VM with that name. Rename that one first.", 25220],
  ["The group now has a medium with that name in this pool. Remove that one first.", 25221],
  ["There is now a group with that name in its place. Remove that one first.", 25222],
  ["Another VM now writes to one of its media:", 25223],
  ["There is not enough quota left for its CPUs:", 25224],
  ["There is not enough quota left for its memory:", 25225],
  ["The group cannot have more VMs:", 25226],
  ["There is not enough room in the pool:", 25227],
  ["The pool of one of its media cannot be written to now:", 25228],
  ["Another VM now has the MAC address of one of its NICs:", 25229],
];

const BY_CODE = new Map(SENTENCES.flatMap(([sentence, ...codes]) => codes.map((code) => [code, sentence] as const)));

export const sentenceOf = (code: number): string | undefined => BY_CODE.get(code);
export const NUMBERED: readonly number[] = SENTENCES.flatMap(([, ...codes]) => codes);
