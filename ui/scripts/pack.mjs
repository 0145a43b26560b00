// Compresses the build and holds it to its budgets (gzip, kB): the shell at most 130, all that a page may load at most 220.
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";

const dist = new URL("../dist/", import.meta.url).pathname;
// The shell is what the page names: its script, and all that this imports without being asked.
const named = readFileSync(join(dist, "index.html"), "utf8");
let total = 0;
let shell = 0;
for (const name of readdirSync(join(dist, "assets"))) {
  const path = join(dist, "assets", name);
  if (!statSync(path).isFile() || !/\.(js|css)$/.test(name)) continue;
  const body = readFileSync(path);
  const gz = gzipSync(body, { level: 9 });
  writeFileSync(path + ".gz", gz);
  writeFileSync(path + ".br", brotliCompressSync(body));
  total += gz.length;
  if (named.includes(`assets/${name}`)) shell += gz.length;
  console.log(`${name}: ${(gz.length / 1000).toFixed(1)} kB gzip`);
}
console.log(`shell ${(shell / 1000).toFixed(1)} kB of 130, all ${(total / 1000).toFixed(1)} kB of 220`);
if (shell > 130_000 || total > 220_000) {
  console.error("the page is over its budget");
  process.exit(1);
}
writeFileSync(join(dist, ".gitkeep"), "");
