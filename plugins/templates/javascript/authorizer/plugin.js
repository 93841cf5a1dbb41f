// Lets the users listed in the config in, and nobody else.
import { allow, authorizer as decides, config, deny } from './sdk/index.js';

export const authorizer = decides((context) => {
  const user = context.user?.id;
  if (user === undefined) return deny('anonymous');
  return config('members').includes(user) ? allow() : deny(`\`${user}\` is no member`);
});
