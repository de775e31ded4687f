// Take the browser out of the npm package @sparticuz/chromium and check that it is the one we know:
// node scripts/unpack_browser.mjs TARBALL FOLDER
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliDecompressSync } from "node:zlib";

const SHA256 = "53a15d6c3a3d27dfb54c4ba60278b1683136f70cf1e67e989da7dfbd3d451ef0";
const [tarball, folder] = process.argv.slice(2);
const parts = mkdtempSync(join(folder, "parts-"));
try {
  execFileSync("tar", ["-xzf", tarball, "-C", parts]);
  const part = (name) => brotliDecompressSync(readFileSync(join(parts, "package", "bin", name)));
  const browser = part("chromium.br");
  const found = createHash("sha256").update(browser).digest("hex");
  if (found !== SHA256) throw new Error(`the browser has SHA-256 ${found}, expected ${SHA256}`);
  // Without these libraries beside it the browser turns WebNN off, even where it needs no GPU.
  writeFileSync(join(parts, "swiftshader.tar"), part("swiftshader.tar.br"));
  execFileSync("tar", ["-xf", join(parts, "swiftshader.tar"), "-C", folder]);
  writeFileSync(join(parts, "chromium"), browser, { mode: 0o755 });
  // Last and at once: whoever sees the browser sees all of it.
  renameSync(join(parts, "chromium"), join(folder, "chromium"));
} finally {
  rmSync(parts, { recursive: true });
}
