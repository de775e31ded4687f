#!/usr/bin/env node
// Turn the WebNN tests of a web-platform-tests checkout into case files for `webnn conformance`.
//
//     node scripts/wpt_to_cases.mjs WPT OUT
//
// WPT is a checkout (only its folder webnn/ is read), OUT a folder that does not exist yet. The test files are
// evaluated here, with stand-ins for their harness and for WebNN; no network, no packages. They run in a `vm`
// context, which is no wall against hostile code: convert checkouts that you would open in a browser.
// Tests that cannot become cases are counted, and listed with a reason in OUT/not-converted.txt.

import fs from 'node:fs';
import path from 'node:path';
import {fileURLToPath} from 'node:url';

import {convert} from './wpt/harness.mjs';
import {caseFile} from './wpt/values.mjs';

const FOLDERS = ['conformance_tests', 'validation_tests'];
const TABLE = new URL('./wpt/operator_limits.json', import.meta.url);

class Failure extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

function testFiles(root) {
  return FOLDERS.flatMap((folder) => {
    const place = path.join(root, 'webnn', folder);
    if (!fs.existsSync(place)) return [];
    const names = fs.readdirSync(place, {recursive: true}).map(String).filter((name) => name.endsWith('.https.any.js'));
    return names.sort().map((name) => ({file: path.join(place, name), name: path.join(folder, name)}));
  });
}

async function main([root, out, ...rest]) {
  if (!root || !out || rest.length) throw new Failure(2, 'give a checkout and a new folder: wpt_to_cases.mjs WPT OUT');
  if (fs.existsSync(out)) throw new Failure(2, `${out}: exists already; choose another folder`);
  const files = testFiles(root);
  if (!files.length) throw new Failure(3, `${root}: there are no WebNN tests; give a checkout of web-platform-tests`);

  const table = JSON.parse(fs.readFileSync(fileURLToPath(TABLE), 'utf8'));
  // Written beside the target, which appears when all of it is there.
  const staged = fs.mkdtempSync(`${path.resolve(out)}.`);
  const skipped = [];
  let count = 0;
  try {
    for (const {file, name} of files) {
      let found;
      try {
        found = await convert(file, root, table);
      } catch (error) {
        skipped.push(`${name}: the whole file: ${error?.message ?? error}`);
        continue;
      }
      skipped.push(...found.skipped.map((test) => `${name}: ${test.name}: ${test.reason}`));
      const tests = [...found.graphs, ...found.validations];
      if (!tests.length) continue;
      const target = path.join(staged, name.replace(/\.https\.any\.js$/, '.json'));
      fs.mkdirSync(path.dirname(target), {recursive: true});
      fs.writeFileSync(target, caseFile({source_file: path.posix.join('webnn', name)}, tests));
      count += tests.length;
      console.error(`${name}: ${tests.length} cases`);
    }
    fs.writeFileSync(path.join(staged, 'not-converted.txt'), skipped.map((line) => `${oneLine(line)}\n`).join(''));
    if (!count) throw new Failure(1, `no test could be converted; the first reason: ${skipped[0]}`);
    fs.chmodSync(staged, 0o777 & ~process.umask());
    fs.renameSync(staged, out);
  } finally {
    fs.rmSync(staged, {recursive: true, force: true});
  }
  console.log(`${out}: ${count} cases; ${skipped.length} tests were not converted, see not-converted.txt there`);
}

const oneLine = (text) => text.replace(/\s+/g, ' ');

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  console.error(`error: ${error.message}`);
  process.exitCode = error.code;
}
