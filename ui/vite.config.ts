import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// Asset addresses are relative, so that the page works under any path prefix: the server writes it into <base>.
export default defineConfig({
  base: "./",
  plugins: [react()],
  build: { outDir: "dist", emptyOutDir: true, assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: { proxy: { "/api": process.env.CLEW_URL ?? "http://127.0.0.1:16686" } },
  test: { include: ["src/**/*.test.ts"] },
});
