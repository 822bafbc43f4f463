// Objects that say who may do what: secrets, TLS credentials, and lists of who is let in.

import { EINVAL, type HostHandle } from "#core/base";
import { BlockError } from "#core/graph";
import { type HostRefusal, hostSecret, hostTlsCreds, type SecretSpec } from "#core/sched";
import { refusalText } from "../host/credential-reasons.ts";
import { bool, enumOf, list, optional, str, struct, type TypeOf, union } from "../qmp/schema.ts";
import type { SecretVault } from "../qmp/secret-seal.ts";
import type { Daemon, DaemonAuthz, DaemonCreds, DaemonSecret } from "../state.ts";

const tlsCreds = {
  dir: optional(str),
  endpoint: optional(enumOf("client", "server")),
  priority: optional(str),
  "verify-peer": optional(bool),
};

const policy = enumOf("deny", "allow");

/** QAPI: QAuthZListRule. */
const rule = struct({ match: str, policy, format: optional(enumOf("exact", "glob")) });

/** Branches of ObjectOptions. */
export const securityObjects = {
  secret: {
    data: optional(str),
    file: optional(str),
    format: optional(enumOf("raw", "base64")),
    keyid: optional(str),
    iv: optional(str),
  },
  "tls-creds-x509": { ...tlsCreds, "sanity-check": optional(bool), passwordid: optional(str) },
  "tls-creds-psk": { ...tlsCreds, username: optional(str) },
  "authz-simple": { identity: str },
  "authz-list": { policy: optional(policy), rules: optional(list(rule)) },
} as const;

/** Their names. */
export const SECURITY_TYPES = [
  "secret",
  "tls-creds-x509",
  "tls-creds-psk",
  "authz-simple",
  "authz-list",
] as const;

const securityOptions = union(
  { "qom-type": enumOf(...SECURITY_TYPES), id: str },
  "qom-type",
  securityObjects,
);

export type SecurityOptions = TypeOf<typeof securityOptions>;

/** user_creatable_complete for one of them. `vault` has the text of a secret that came over QMP. */
export function securityObject(
  daemon: Daemon,
  options: SecurityOptions,
  vault: SecretVault | null,
): DaemonSecret | DaemonCreds | DaemonAuthz {
  const { "qom-type": type, id } = options;
  switch (type) {
    case "secret":
      return { type, id, handle: secretHandle(daemon, options, vault) };
    case "tls-creds-x509":
    case "tls-creds-psk": {
      const { endpoint = "client", "verify-peer": verifyPeer = true } = options;
      const isServer = endpoint === "server";
      const identifiesPeer = type === "tls-creds-x509" && verifyPeer;
      const handle = credsHandle(daemon, options);
      return { type, id, handle, isServer, identifiesPeer, users: 1 };
    }
    case "authz-simple":
      return { type, id, isAllowed: (identity) => identity === options.identity };
    case "authz-list": {
      const { policy: otherwise = "deny", rules = [] } = options;
      return { type, id, isAllowed: (identity) => judge(rules, identity, otherwise) === "allow" };
    }
  }
}

function secretHandle(
  daemon: Daemon,
  options: Extract<SecurityOptions, { "qom-type": "secret" }>,
  vault: SecretVault | null,
): HostHandle {
  const { data, file, format = "raw", keyid, iv } = options;
  if (data !== undefined && file !== undefined)
    throw new BlockError(EINVAL, "'file' and 'data' are mutually exclusive");
  const own = keyid === undefined ? null : secretOf(daemon, keyid).handle;
  if (own !== null && iv === undefined)
    throw new BlockError(EINVAL, "IV is required to decrypt secret");
  const key = own === null ? null : { handle: own, iv: iv ?? "" };
  return loaded(hostSecret({ source: sourceOf(data, file, vault), format, key }), file ?? "");
}

function sourceOf(
  data: string | undefined,
  file: string | undefined,
  vault: SecretVault | null,
): SecretSpec["source"] {
  if (file !== undefined) return { file };
  if (data === undefined) throw new BlockError(EINVAL, "Either 'file' or 'data' must be provided");
  return { data: vault === null ? data : vault.take(data) };
}

/** qcrypto_secret_lookup. */
function secretOf(daemon: Daemon, id: string): DaemonSecret {
  const object = daemon.objects.get(id);
  if (object === undefined) throw new BlockError(EINVAL, `No secret with id '${id}'`);
  if (object.type !== "secret")
    throw new BlockError(EINVAL, `Object with id '${id}' is not a secret`);
  return object;
}

function credsHandle(
  daemon: Daemon,
  options: Extract<SecurityOptions, { "qom-type": "tls-creds-x509" | "tls-creds-psk" }>,
): HostHandle {
  const { dir, endpoint = "client", priority = null } = options;
  const isServer = endpoint === "server";
  if (dir === undefined) throw new BlockError(EINVAL, "Missing 'dir' property value");
  const common = { dir, isServer, priority, verifyPeer: options["verify-peer"] ?? true };
  if (options["qom-type"] === "tls-creds-x509") {
    const { passwordid, "sanity-check": sanityCheck = true } = options;
    const password = passwordid === undefined ? null : secretOf(daemon, passwordid).handle;
    const spec = { kind: "x509", ...common, sanityCheck, password, username: "" } as const;
    return loaded(hostTlsCreds(spec), dir);
  }
  const { username } = options;
  if (isServer && username !== undefined)
    throw new BlockError(EINVAL, "username should not be set when endpoint=server");
  const spec = { kind: "psk", ...common, sanityCheck: false, password: null } as const;
  return loaded(hostTlsCreds({ ...spec, username: username ?? "qemu" }), dir);
}

function loaded(kept: HostHandle | HostRefusal, place: string): HostHandle {
  if (typeof kept === "number") return kept;
  throw new BlockError(kept.errno, refusalText(kept, place));
}

/** qauthz_list_is_allowed (authz/list.c:30): the first rule that fits decides. */
function judge(
  rules: readonly TypeOf<typeof rule>[],
  identity: string,
  otherwise: "deny" | "allow",
): "deny" | "allow" {
  const fitting = rules.find(({ match, format = "exact" }) =>
    format === "exact" ? match === identity : globMatches(match, identity),
  );
  return fitting?.policy ?? otherwise;
}

/** g_pattern_match_simple: `*` is any text, `?` any character. Takes time in proportion to the lengths' product, not more. */
export function globMatches(pattern: string, text: string): boolean {
  const [wanted, given] = [[...pattern], [...text]];
  let [at, from] = [0, 0];
  let star: { readonly at: number; from: number } | null = null;
  while (from < given.length) {
    if (wanted[at] === "*") star = { at: at++, from };
    else if (at < wanted.length && (wanted[at] === "?" || wanted[at] === given[from])) {
      at++;
      from++;
    } else if (star !== null) {
      at = star.at + 1;
      from = ++star.from;
    } else return false;
  }
  while (wanted[at] === "*") at++;
  return at === wanted.length;
}
