import { defineConfig } from "@playwright/test";

// The system's Chromium, without what reaches out of this machine.
export default defineConfig({
  testDir: "e2e",
  fullyParallel: true,
  workers: 2,
  timeout: 60_000,
  reporter: [["list"]],
  outputDir: process.env.CLEW_TEST_OUT ?? "node_modules/.playwright",
  use: {
    launchOptions: {
      executablePath: process.env.CLEW_CHROMIUM ?? "/usr/bin/chromium",
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    },
  },
});
