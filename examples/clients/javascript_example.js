#!/usr/bin/env node
// A small client for Fugata: Node 18.3 or newer, no packages.
//
//   node javascript_example.js create [--duration 1h] [--one-time] [--label TEXT]  < content
//   node javascript_example.js get ID
//   node javascript_example.js delete ID   (token in FUGATA_DELETION_TOKEN, else from stdin)
//
// FUGATA_URL names the service (default http://localhost:8080).
"use strict";

const { parseArgs } = require("node:util");

const BASE_URL = (process.env.FUGATA_URL || "http://localhost:8080").replace(/\/+$/, "");
const TIMEOUT = 60; // seconds for one request
const MAX_TRIES = 5; // when the service answers 429
const MAX_WAIT = 60; // seconds; who is told to wait longer gives up at once
const USAGE = `wrong usage; the commands are
  javascript_example.js create [--duration 1h] [--one-time] [--label TEXT]
  javascript_example.js get ID
  javascript_example.js delete ID`;

/** The service said no, or could not be reached. */
class FugataError extends Error {}

/** The client was called wrongly. */
class UsageError extends Error {}

/** Store a secret; the answer holds `id`, `deletion_token` and `expires_at`. */
function create(content, { duration, oneTime, label }) {
  // JSON.stringify leaves `metadata` out when there is no label.
  const body = JSON.stringify({ content, duration, one_time: oneTime, metadata: label });
  return request("POST", "/secrets", "id", { "Content-Type": "application/json" }, body);
}

/** Return the content of a secret; one-time secrets are gone afterwards. */
async function retrieve(id) {
  return (await request("GET", secretPath(id), "content")).content;
}

/** Delete a secret with the token from its creation; returns the service's message. */
async function remove(id, token) {
  const headers = { Authorization: `Bearer ${token}` };
  return (await request("DELETE", secretPath(id), "message", headers)).message;
}

function secretPath(id) {
  return `/secrets/${encodeURIComponent(id)}`;
}

/** Return the answer, a JSON object with the text field `expect`; wait and retry on 429. */
async function request(method, path, expect, headers = {}, body = undefined) {
  for (let attempt = 0; ; attempt++) {
    const { status, headers: answerHeaders, text } = await send(path, { method, headers, body });
    const delay = secondsToWait(answerHeaders, attempt);
    if (status !== 429 || delay > MAX_WAIT || attempt + 1 === MAX_TRIES) {
      return parse(status, text, status < 300 ? expect : "error");
    }
    await new Promise((resolve) => setTimeout(resolve, delay * 1000));
  }
}

/** Make one request. Redirects are not followed: a token must not travel to another address. */
async function send(path, { method, headers, body }) {
  try {
    const response = await fetch(BASE_URL + path, {
      method,
      headers: { Accept: "application/json", ...headers },
      body,
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT * 1000),
    });
    return { status: response.status, headers: response.headers, text: await response.text() };
  } catch (error) {
    const reason = error.cause?.code || error.cause?.message || error.message;
    throw new FugataError(`cannot reach the service at ${BASE_URL}: ${reason}`);
  }
}

/** What the service asks for: Retry-After, else the reset time, else 1, 2, 4, 8. */
function secondsToWait(headers, attempt) {
  const retryAfter = headers.get("Retry-After") ?? "";
  if (/^\d+$/.test(retryAfter)) return Number(retryAfter);
  const untilReset = Number(headers.get("X-RateLimit-Reset") ?? 0) - Date.now() / 1000;
  return untilReset > 0 ? untilReset : 2 ** attempt;
}

/** Return the JSON object, or throw the service's own sentence when `field` is "error". */
function parse(status, text, field) {
  let answer = null;
  try {
    answer = JSON.parse(text);
  } catch {
    // Said below, with the status: not JSON.
  }
  if (typeof answer?.[field] !== "string") {
    throw new FugataError(`unexpected answer from the service (HTTP ${status})`);
  }
  if (field === "error") throw new FugataError(answer.error);
  return answer;
}

/** Return standard input, which must be UTF-8: JSON carries nothing else. */
async function readInput() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  try {
    // ignoreBOM keeps a byte order mark where it is, instead of dropping it.
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    return decoder.decode(Buffer.concat(chunks));
  } catch {
    throw new UsageError("the content is not UTF-8 text");
  }
}

/** Return the deletion token from the environment, else from standard input. */
async function readToken() {
  const token = (process.env.FUGATA_DELETION_TOKEN || (await readInput())).trim();
  if (!/^[!-~]+$/.test(token)) {
    throw new UsageError("give the deletion token in FUGATA_DELETION_TOKEN or on standard input");
  }
  return token;
}

/** Parse options; what `parseArgs` finds wrong is wrong usage. */
function parseOptions(args, options, positionals) {
  let parsed;
  try {
    parsed = parseArgs({ args, options, allowPositionals: true });
  } catch {
    throw new UsageError(USAGE);
  }
  if (parsed.positionals.length !== positionals || parsed.positionals.includes("")) {
    throw new UsageError(USAGE);
  }
  return parsed;
}

const commands = {
  async create(args) {
    const options = {
      duration: { type: "string" },
      "one-time": { type: "boolean" },
      label: { type: "string" },
    };
    const { values } = parseOptions(args, options, 0);
    const { duration = "1h", "one-time": oneTime = false, label } = values;
    const answer = await create(await readInput(), { duration, oneTime, label });
    return `${JSON.stringify(answer)}\n`;
  },
  async get(args) {
    return retrieve(parseOptions(args, {}, 1).positionals[0]);
  },
  async delete(args) {
    const [id] = parseOptions(args, {}, 1).positionals;
    return `${await remove(id, await readToken())}\n`;
  },
};

/** Run the client: status 0 for success, 1 for an API error, 2 for wrong usage. */
async function main([command, ...args]) {
  try {
    if (!Object.hasOwn(commands, command ?? "")) throw new UsageError(USAGE);
    if (!/^https?:\/\//.test(BASE_URL)) {
      throw new UsageError("FUGATA_URL must begin with http:// or https://");
    }
    process.stdout.write(await commands[command](args));
  } catch (error) {
    if (!(error instanceof FugataError || error instanceof UsageError)) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}

main(process.argv.slice(2));
