// The topics of this node that have a subscriber: of one channel, or of all.

import { call, withQuery } from "../api";
import { keep, route, to } from "../route";
import { count } from "../units";
import { Search } from "./fields";
import { Paged } from "./table";

export interface ListedTopic {
  topic: string;
  channel: string;
  subscribers: number;
}

const ROWS_MAX = 50;

export function Topics({ channel }: { channel?: string }) {
  const { path, query } = route.value;
  const search = query.get("topic") ?? "";
  return (
    <>
      <Search label="Search topics" hint="a part of the name" value={search} onSearch={(text) => keep(path, { topic: text })} />
      <Paged<ListedTopic>
        caption="Topics"
        about={[channel, search]}
        load={async (after) => {
          const { topics, next } = await call<{ topics: ListedTopic[]; next?: string }>("GET", withQuery("/v1/topics", { channel, search, after, limit: ROWS_MAX }));
          return { rows: topics, next };
        }}
        of={({ topic }) => topic}
        empty={search ? `No topic with a subscriber contains “${search}”.` : `Nobody is subscribed to a topic${channel ? " of this channel" : ""} on this node.`}
        columns={[
          { head: "Topic", cell: ({ topic }) => <a href={to(["topics", topic])}>{topic}</a> },
          ...(channel ? [] : [{ head: "Channel", cell: ({ channel }: ListedTopic) => <a href={to(["channels", channel])}>{channel}</a> }]),
          { head: "Subscribers", number: true, cell: ({ subscribers }) => count(subscribers) },
        ]}
      />
    </>
  );
}
