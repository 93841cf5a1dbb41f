// What a client of presence does with what it hears.

// The changes that a socket hears of a topic, as they come.
export function changes(socket, channel) {
  const heard = [];
  socket.on("tidegate", (event) => {
    if (event.type === "presence" && event.channel === channel) heard.push({ ...event, at: performance.now() });
  });
  return heard;
}

// Who is there, as a page would know it: from the ack, and from every change since.
export function roster(ack, heard) {
  const users = new Map(ack.presence.members.map(({ user, info }) => [user, info]));
  let { count } = ack.presence;
  for (const change of heard) {
    for (const { user, info } of change.joined) users.set(user, info);
    for (const { user } of change.left) users.delete(user);
    ({ count } = change);
  }
  return { users: [...users.keys()].sort(), info: Object.fromEntries(users), count };
}
