// Gets each URL through a proxy and prints, as JSON, the status and the SHA-256 of each body.
// Usage: node node_client.mjs raw|fetch PROXY URL...   (trust: NODE_EXTRA_CA_CERTS)
import crypto from "node:crypto";
import http from "node:http";
import tls from "node:tls";

const [way, proxy, ...urls] = process.argv.slice(2);
const { hostname, port } = new URL(proxy);

function request(options) {
  return new Promise((resolve, reject) => {
    const sent = http.request({ agent: false, ...options });
    sent.on("error", reject);
    sent.on("response", resolve);
    sent.on("connect", (response, socket, head) => {
      if (response.statusCode !== 200 || head.length) reject(new Error(`CONNECT: ${response.statusCode}`));
      else resolve(socket);
    });
    sent.end();
  });
}

async function read(response) {
  const pieces = [];
  for await (const piece of response) pieces.push(piece);
  return { status: response.statusCode, body: Buffer.concat(pieces) };
}

async function getRaw(url) {
  const target = new URL(url);
  if (target.protocol === "http:") {
    return read(await request({ hostname, port, path: url, headers: { Host: target.host } }));
  }
  const authority = { hostname, port, method: "CONNECT", path: target.host };
  const socket = await request({ ...authority, headers: { Host: target.host } });
  const secure = tls.connect({ socket, servername: target.hostname });
  const inside = { createConnection: () => secure, path: target.pathname, headers: { Host: target.host } };
  return read(await request({ ...inside, agent: undefined }));
}

async function getByFetch(url) {
  const response = await fetch(url);
  return { status: response.status, body: Buffer.from(await response.arrayBuffer()) };
}

const get = { raw: getRaw, fetch: getByFetch }[way];
const answers = await Promise.all(urls.map(get));
const hash = (body) => crypto.createHash("sha256").update(body).digest("hex");
console.log(JSON.stringify(answers.map(({ status, body }) => [status, hash(body)])));
