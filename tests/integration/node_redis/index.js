// Stands in for node-redis where the documentation's example is run: its names for the commands that
// the example gives, each sent to a real Redis.
import net from "node:net";

export function createClient({ url }) {
  const { hostname, port } = new URL(url);
  const socket = net.connect(Number(port), hostname);
  const waiting = [];
  let unread = "";

  socket.setEncoding("utf8");
  socket.on("data", (text) => {
    unread += text;
    for (let found; waiting.length && (found = parsed(unread)); ) {
      unread = unread.slice(found.length);
      waiting.shift()(found.value);
    }
  });

  const send = (...words) =>
    new Promise((answer) => {
      waiting.push(answer);
      const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
      socket.write(`*${words.length}\r\n${parts.join("")}`);
    });

  const client = {
    connect: async () => client,
    close: async () => socket.end(),
    sIsMember: (key, member) => send("SISMEMBER", key, member),
    smIsMember: (key, members) => send("SMISMEMBER", key, ...members),
    hGet: (key, field) => send("HGET", key, field),
  };
  return client;
}

// The first reply in a text and how much of it that is; undefined while it is not whole.
function parsed(text) {
  const end = text.indexOf("\r\n");
  if (end < 0) return undefined;
  const [kind, rest] = [text[0], text.slice(1, end)];
  let length = end + 2;
  if (kind === ":") return { value: Number(rest), length };
  if (kind === "$" && rest === "-1") return { value: null, length };
  if (kind === "$") {
    const value = text.slice(length, length + Number(rest));
    return text.length < length + Number(rest) + 2 ? undefined : { value, length: length + Number(rest) + 2 };
  }
  if (kind !== "*") throw new Error(`found ${text}`);
  const value = [];
  for (let left = Number(rest); left > 0; left--) {
    const found = parsed(text.slice(length));
    if (!found) return undefined;
    value.push(found.value);
    length += found.length;
  }
  return { value, length };
}
