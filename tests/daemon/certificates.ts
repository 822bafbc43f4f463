// Keys and certificates for tests, made afresh: an authority, a server's and a client's in a folder with QEMU's names.

import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The client's distinguished name, as GnuTLS writes it. */
export const CLIENT_NAME = "C=GB,L=London,O=Example\\, Home,CN=laptop.example.com";

function openssl(folder: string, ...args: string[]): void {
  const { status, stderr } = spawnSync("openssl", args, { cwd: folder, encoding: "utf8" });
  if (status !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`);
}

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];

/** `folder` gets all of it; `days` is how long the server's certificate is good for. */
export function makeCertificates(folder: string, { password = "" } = {}): string {
  mkdirSync(folder, { recursive: true });
  const authority = ["-x509", ...KEY, "-nodes", "-days", "30", "-subj", "/CN=the tests' authority"];
  openssl(folder, "req", ...authority, "-keyout", "ca-key.pem", "-out", "ca-cert.pem");
  signed(folder, "server", "/CN=localhost", password);
  signed(folder, "client", "/C=GB/L=London/O=Example, Home/CN=laptop.example.com", "");
  return folder;
}

function signed(folder: string, name: string, subject: string, password: string): void {
  const lock = password === "" ? ["-nodes"] : ["-passout", `pass:${password}`];
  const request = [...KEY, ...lock, "-subj", subject, "-out", `${name}.csr`];
  openssl(folder, "req", ...request, "-keyout", `${name}-key.pem`);
  const extensions = [
    "basicConstraints=critical,CA:false",
    "subjectAltName=DNS:localhost,IP:127.0.0.1",
    "keyUsage=digitalSignature,keyEncipherment",
    "extendedKeyUsage=serverAuth,clientAuth",
  ];
  writeFileSync(join(folder, "extensions"), extensions.join("\n"));
  const by = ["-CA", "ca-cert.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "30"];
  const files = ["-in", `${name}.csr`, "-out", `${name}-cert.pem`, "-extfile", "extensions"];
  openssl(folder, "x509", "-req", ...by, ...files);
}
