/* One entry, loaded by static/js/viewer.js, built so that the same sources give the same bytes.

   Cornerstone brings viewports and formats that a radiograph never needs (volumes in 3D, video, slides, ECG,
   segmentations, XML and DICOM writers). They are replaced by an empty module: see `withoutUnused`. */

import { readFileSync, readdirSync } from "node:fs";

import { defineConfig, type Plugin } from "vite";

/** Packages and the names that are imported from them. */
const PACKAGES: Record<string, string[]> = {
  dcmjs: ["constants"],
  xmlbuilder2: ["create"],
  "clipper2-ts": ["Clipper", "ClipType", "FillRule", "PolyTreeD"],
};
const EMPTY = "\0empty:";

/** Classes of Cornerstone, each the default export of its file. */
const CLASSES = new RegExp(
  "RenderingEngine/(VideoViewport|WSIViewport|ECGViewport|VolumeViewport3D|VolumeViewport|BaseVolumeViewport" +
    "|GenericViewport/(ECG|Planar|Video|WSI|Volume3D)/[A-Za-z0-9]*([vV]iewport(3D)?|LegacyAdapter))\\.js$",
);
/** Index files, cut down to what the core imports: the rest is rules for studies of many series. */
const INDEXES: Record<string, string> = {
  "metadata/dist/esm/index.js": `
    export * as Enums from "./enums/index.js";
    export * as metaData from "./metaData.js";
    export * as utilities from "./utilities/index.js";`,
  "metadata/dist/esm/utilities/index.js": `
    export { default as isVideoTransferSyntax, videoUIDs } from "./isVideoTransferSyntax.js";
    export { default as imageIdToURI } from "./imageIdToURI.js";
    export * from "./getPixelSpacingInformation.js";
    export { default as calibratedPixelSpacingMetadataProvider } from "./calibratedPixelSpacingMetadataProvider.js";
    export const splitImageIdsBy4DTags = undefined, handleMultiframe4D = undefined, generateFrameImageId = undefined;`,
  "tools/dist/esm/utilities/registerComputeWorker.js": "export function registerComputeWorker() {}",
};

/** Modules that nothing here reaches at run time become empty. */
function withoutUnused(): Plugin {
  return {
    name: "without-unused",
    enforce: "pre",
    resolveId: (id) => (id in PACKAGES ? EMPTY + id : null),
    load(id) {
      if (CLASSES.test(id)) return "export default class {}";
      const index = Object.keys(INDEXES).find((path) => id.endsWith(`@cornerstonejs/${path}`));
      if (index) return INDEXES[index];
      if (!id.startsWith(EMPTY)) return null;
      const name = id.slice(EMPTY.length);
      const log = name === "dcmjs" ? ['export { default as log } from "loglevel";'] : []; // dcmjs only hands it on
      return [...log, ...PACKAGES[name].map((each) => `export const ${each} = {};`), "export default {};"].join("\n");
    },
  };
}

/** The page's policy takes no style attributes; a style set by script is the same and allowed. */
function stylesByScript(): Plugin {
  return {
    name: "styles-by-script",
    transform(code, id) {
      if (!id.endsWith("drawingSvg/drawTextBox.js")) return null;
      const changed = code.replace("textElement.setAttribute('style', combinedStyle)", "textElement.style.cssText = combinedStyle");
      if (changed === code) throw new Error("drawTextBox.js has changed: look for style attributes again");
      return { code: changed, map: null };
    },
  };
}

/** Names and licences of everything that went into the bundle. */
function licences(): Plugin {
  return {
    name: "licences",
    generateBundle(_options, bundle) {
      const ids = Object.values(bundle).flatMap((chunk) => (chunk.type === "chunk" ? chunk.moduleIds : []));
      const folders = new Set(ids.map((id) => /^.*\/node_modules\/(@[^/]+\/)?[^/]+/.exec(id)?.[0]).filter((folder) => folder !== undefined));
      const texts = [...folders].map((folder) => {
        const about = JSON.parse(readFileSync(`${folder}/package.json`, "utf8")) as { name: string; version: string; license: string };
        const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
        const text = file ? readFileSync(`${folder}/${file}`, "utf8").trim() : `Licence: ${about.license}`;
        return `${about.name} ${about.version} (${about.license})\n\n${text}`;
      });
      this.emitFile({ type: "asset", fileName: "LICENSES.txt", source: `${texts.sort().join(`\n\n${"-".repeat(80)}\n\n`)}\n` });
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [withoutUnused(), stylesByScript(), licences()],
  worker: { format: "es" },
  build: {
    outDir: "../static/viewer",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    reportCompressedSize: true,
    chunkSizeWarningLimit: 4000,
    rollupOptions: {
      input: "src/main.ts",
      preserveEntrySignatures: "strict",
      output: { entryFileNames: "viewer.js", chunkFileNames: "[name]-[hash].js", assetFileNames: "[name]-[hash][extname]" },
    },
  },
});
