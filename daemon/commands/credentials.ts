// TLS credentials that somebody uses: the object may be deleted before.

import { assert, EINVAL } from "#core/base";
import { BlockError } from "#core/graph";
import { hostClose } from "#core/sched";
import { type DaemonCreds, objectsRoot } from "../state.ts";

/** nbd_get_tls_creds (block/nbd.c:1716, blockdev-nbd.c:105): the credentials with that id, for that end, with one user more. BlockError. */
export function getTlsCreds(id: string, endpoint: "client" | "server"): DaemonCreds {
  const object = objectsRoot().get(id);
  if (object === undefined) throw new BlockError(EINVAL, `No TLS credentials with id '${id}'`);
  if (!("isServer" in object))
    throw new BlockError(EINVAL, `Object with id '${id}' is not TLS credentials`);
  if (object.isServer !== (endpoint === "server"))
    throw new BlockError(EINVAL, `Expected TLS credentials for a ${endpoint} endpoint`);
  object.users++;
  return object;
}

/** object_unref: one user less. */
export function credsUnref(creds: DaemonCreds): void {
  assert(creds.users > 0, "a user lets go once");
  creds.users--;
  if (creds.users === 0) hostClose(creds.handle);
}
