// Errno values as Linux numbers them: data paths return them negated, as QEMU does.

export const EPERM = 1;
export const ENOENT = 2;
export const EIO = 5;
export const ENXIO = 6;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EBUSY = 16;
export const EEXIST = 17;
export const ENOTDIR = 20;
export const EISDIR = 21;
export const EINVAL = 22;
export const EFBIG = 27;
export const ENOSPC = 28;
export const EROFS = 30;
export const EPIPE = 32;
export const ENOTSUP = 95;
export const EADDRINUSE = 98;
export const EADDRNOTAVAIL = 99;
export const ENETUNREACH = 101;
export const ECONNRESET = 104;
export const ETIMEDOUT = 110;
export const ECONNREFUSED = 111;
export const EHOSTUNREACH = 113;
export const ENOMEDIUM = 123;
export const EINPROGRESS = 115;
export const ECANCELED = 125;

const NAMES: ReadonlyMap<number, string> = new Map([
  [EPERM, "EPERM"],
  [ENOENT, "ENOENT"],
  [EIO, "EIO"],
  [ENXIO, "ENXIO"],
  [EAGAIN, "EAGAIN"],
  [ENOMEM, "ENOMEM"],
  [EACCES, "EACCES"],
  [EBUSY, "EBUSY"],
  [EEXIST, "EEXIST"],
  [ENOTDIR, "ENOTDIR"],
  [EISDIR, "EISDIR"],
  [EINVAL, "EINVAL"],
  [EFBIG, "EFBIG"],
  [ENOSPC, "ENOSPC"],
  [EROFS, "EROFS"],
  [EPIPE, "EPIPE"],
  [ENOTSUP, "ENOTSUP"],
  [EADDRINUSE, "EADDRINUSE"],
  [EADDRNOTAVAIL, "EADDRNOTAVAIL"],
  [ENETUNREACH, "ENETUNREACH"],
  [ECONNRESET, "ECONNRESET"],
  [ETIMEDOUT, "ETIMEDOUT"],
  [ECONNREFUSED, "ECONNREFUSED"],
  [EHOSTUNREACH, "EHOSTUNREACH"],
  [ENOMEDIUM, "ENOMEDIUM"],
  [EINPROGRESS, "EINPROGRESS"],
  [ECANCELED, "ECANCELED"],
]);

/** The symbolic name of an errno, or `E<number>` for one that this table lacks. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `E${errno}`;
}

const TEXTS: ReadonlyMap<number, string> = new Map([
  [EPERM, "Operation not permitted"],
  [ENOENT, "No such file or directory"],
  [EIO, "Input/output error"],
  [ENXIO, "No such device or address"],
  [EAGAIN, "Resource temporarily unavailable"],
  [ENOMEM, "Cannot allocate memory"],
  [EACCES, "Permission denied"],
  [EBUSY, "Device or resource busy"],
  [EEXIST, "File exists"],
  [ENOTDIR, "Not a directory"],
  [EISDIR, "Is a directory"],
  [EINVAL, "Invalid argument"],
  [EFBIG, "File too large"],
  [ENOSPC, "No space left on device"],
  [EROFS, "Read-only file system"],
  [EPIPE, "Broken pipe"],
  [ENOTSUP, "Operation not supported"],
  [EADDRINUSE, "Address already in use"],
  [EADDRNOTAVAIL, "Cannot assign requested address"],
  [ENETUNREACH, "Network is unreachable"],
  [ECONNRESET, "Connection reset by peer"],
  [ETIMEDOUT, "Connection timed out"],
  [ECONNREFUSED, "Connection refused"],
  [EHOSTUNREACH, "No route to host"],
  [ENOMEDIUM, "No medium found"],
  [EINPROGRESS, "Operation now in progress"],
  [ECANCELED, "Operation canceled"],
]);

/** strerror: what Linux calls an errno, for messages that QEMU ends with it. */
export function strerror(errno: number): string {
  return TEXTS.get(errno) ?? `Unknown error ${errno}`;
}

/** The errno of a Node system error's `code` ("ENOENT"), or EIO for one that this table lacks. */
export function errnoFromCode(code: string | undefined): number {
  // A host without an address, as far as can be found out: errors of getaddrinfo, and none of the system.
  if (code === "ENOTFOUND" || code?.startsWith("EAI_")) return ENXIO;
  for (const [errno, name] of NAMES) if (name === code) return errno;
  return EIO;
}
