// Prints, as JSON, what the official OFREP provider says of users: `node assignments.mjs URL < order`,
// where order is {"token": …, "flag": …, "users": […], "attributes": {…}}.
import { readFileSync } from "node:fs";
import { OpenFeature } from "@openfeature/server-sdk";
import { OFREPProvider } from "@openfeature/ofrep-provider";

const AT_ONCE = 32;

const { token, flag, users, attributes } = JSON.parse(readFileSync(0, "utf8"));
const headers = [["Authorization", `Bearer ${token}`]];
await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl: process.argv[2], headers }));
const client = OpenFeature.getClient();

const found = new Array(users.length);
let next = 0;

async function ask() {
  while (next < users.length) {
    const place = next++;
    const context = { targetingKey: users[place], ...attributes };
    const { value, variant, reason, errorCode, flagMetadata } =
      await client.getStringDetails(flag, "the default", context);
    found[place] = { value, variant, reason, errorCode, flagMetadata };
  }
}

await Promise.all(Array.from({ length: AT_ONCE }, ask));
console.log(JSON.stringify(found));
