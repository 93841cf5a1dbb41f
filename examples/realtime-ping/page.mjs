// Serves the page, and hands `/socket.io/` on to the server, as a site's reverse proxy would: so the page and the
// server share an origin, and the server needs no `auth.origins`.

import { readFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { createRequire } from "node:module";
import { connect } from "node:net";

const server = new URL(process.env.URL ?? "http://127.0.0.1:3000");
const port = Number(process.env.PORT ?? 8080);

const require = createRequire(import.meta.url);
const file = (path) => readFileSync(new URL(path, import.meta.url));
const files = {
  "/": ["text/html", file("index.html")],
  "/socket.io.js": ["text/javascript", readFileSync(require.resolve("socket.io-client/dist/socket.io.js"))],
};

const page = createServer((incoming, answer) => {
  const { pathname } = new URL(incoming.url, "http://page");
  if (pathname.startsWith("/socket.io/")) {
    const { method, headers, url: path } = incoming;
    const handedOn = request({ host: server.hostname, port: server.port, method, headers, path }, (response) => {
      answer.writeHead(response.statusCode, response.headers);
      response.pipe(answer);
    });
    handedOn.on("error", () => answer.writeHead(502).end("the server is away"));
    incoming.pipe(handedOn);
  } else if (files[pathname]) {
    const [type, content] = files[pathname];
    answer.writeHead(200, { "content-type": type }).end(content);
  } else {
    answer.writeHead(404).end("not found");
  }
});

// A websocket: the head of the request again, then bytes both ways.
page.on("upgrade", (incoming, browser, head) => {
  const upstream = connect(Number(server.port), server.hostname, () => {
    const headers = [];
    for (let i = 0; i < incoming.rawHeaders.length; i += 2) {
      headers.push(`${incoming.rawHeaders[i]}: ${incoming.rawHeaders[i + 1]}`);
    }
    upstream.write(`GET ${incoming.url} HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n`);
    upstream.write(head);
    browser.pipe(upstream).pipe(browser);
  });
  upstream.on("error", () => browser.destroy());
  browser.on("error", () => upstream.destroy());
});

page.listen(port, "127.0.0.1", () => console.log(`open http://127.0.0.1:${page.address().port}/`));
