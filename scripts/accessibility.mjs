// Accessibility of pages, by axe-core (MPL-2.0) in a headless Chromium: each finding, and exit code 1 where one is serious or critical.
//
//   npm install --prefix /tmp/axe axe-core
//   node scripts/accessibility.mjs /tmp/axe/node_modules/axe-core/axe.min.js PAGE...
//
// A page is a file or an address (`voxelift view FILE... --no-browser` prints one). Each is looked at 1280 and 390 pixels wide, light and
// dark. Needs Node 22 and a `chromium` that may be started; nothing is fetched from elsewhere.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [axe, ...pages] = process.argv.slice(2);
if (!pages.length) {
  console.error("node scripts/accessibility.mjs AXE.min.js PAGE...");
  process.exit(2);
}
const profile = mkdtempSync(join(tmpdir(), "accessibility-"));
const browser = spawn(process.env.CHROMIUM ?? "chromium", [
  "--headless", "--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
  "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
  "--remote-debugging-port=0", "--user-data-dir=" + profile, "about:blank",
], { stdio: ["ignore", "ignore", "pipe"] });
const port = await new Promise((found, failed) => {
  let said = "";
  browser.on("exit", () => failed(new Error("the browser did not start:\n" + said)));
  browser.stderr.on("data", (data) => {
    const address = (said += data).match(/DevTools listening on ws:\/\/[^:]+:(\d+)/);
    if (address) found(Number(address[1]));
  });
});

// A tab, and what it is asked.
async function tab() {
  const { webSocketDebuggerUrl } = await (await fetch(`http://127.0.0.1:${port}/json/new?about:blank`, { method: "PUT" })).json();
  const socket = new WebSocket(webSocketDebuggerUrl), waiting = new Map();
  await new Promise((open) => socket.addEventListener("open", open));
  socket.addEventListener("message", ({ data }) => {
    const { id, result, error } = JSON.parse(data);
    if (waiting.has(id)) waiting.get(id)(error ? { error } : result);
  });
  let asked = 0;
  const call = (method, params = {}) => new Promise((answer) => {
    waiting.set(++asked, answer);
    socket.send(JSON.stringify({ id: asked, method, params }));
  });
  const value = async (expression) => {
    const { result, exceptionDetails } = await call("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  };
  return { call, value, close: () => socket.close() };
}

const script = readFileSync(axe, "utf8");
let serious = 0;
for (const page of pages) {
  const url = /^https?:/.test(page) ? page : pathToFileURL(resolve(page)).href;
  for (const width of [1280, 390]) {
    for (const scheme of ["light", "dark"]) {
      const { call, value, close } = await tab();
      await call("Emulation.setDeviceMetricsOverride", { width, height: 900, deviceScaleFactor: 1, mobile: width < 500 });
      await call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
      await call("Page.navigate", { url });
      // The viewer is there when it says so; other pages when they have been read.
      const there = `location.href !== "about:blank" && document.readyState === "complete" && (!document.getElementById("stage") || document.body.dataset.ready === "yes")`;
      for (let tries = 0; tries < 300 && !(await value(there)); tries++) await new Promise((later) => setTimeout(later, 200));
      if (!(await value(there))) throw new Error(page + ": was not there after a minute");
      await value(script + ";0");
      const found = JSON.parse(await value(`axe.run(document, { resultTypes: ["violations"] }).then(({ violations, passes }) => JSON.stringify({
        passes: passes.length, violations: violations.map(({ impact, id, help, nodes }) => ({ impact, id, help, nodes: nodes.map((node) => node.html.slice(0, 160)) })) }))`));
      if (!found.passes) throw new Error(page + ": nothing was looked at");
      serious += found.violations.filter(({ impact }) => ["serious", "critical"].includes(impact)).length;
      console.log(`${page}, ${width} pixels, ${scheme}: ${found.violations.length} findings`);
      for (const { impact, id, help, nodes } of found.violations) console.log(`  ${impact}: ${id}: ${help} (${nodes.length}), first ${nodes[0]}`);
      await call("Page.close");
      close();
    }
  }
}
browser.removeAllListeners("exit");
browser.kill();
await new Promise((gone) => browser.on("exit", gone));
rmSync(profile, { recursive: true, force: true });
console.log(serious ? `${serious} serious findings` : "no serious findings");
process.exit(serious ? 1 : 0);
