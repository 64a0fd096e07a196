-- The catalogue: what was delivered, what it said, and where every resource stands.
--
-- Times are unix milliseconds and end in _at. "None" inside an identity is the empty string,
-- because SQLite takes NULLs for distinct. Tables are STRICT; product rules are named constraints.

-- The inbox. Rows are only ever appended, so that an answer to the platform costs one insert at
-- the end of one tree; what became of a delivery stands in event_outcomes.
CREATE TABLE events (
    event_row_id INTEGER PRIMARY KEY,
    app_id       TEXT NOT NULL,
    event_id     TEXT,
    event_type   TEXT,
    message_id   TEXT,
    received_at  INTEGER NOT NULL,
    payload      TEXT NOT NULL
) STRICT;

-- Expansion runs in order of arrival: everything up to this row has been expanded once.
CREATE TABLE inbox_cursor (
    only_row         INTEGER PRIMARY KEY CHECK (only_row = 1),
    expanded_through INTEGER NOT NULL
) STRICT;
INSERT INTO inbox_cursor (only_row, expanded_through) VALUES (1, 0);

-- What became of a delivery, where that is not the usual thing ('expanded' has no row here).
-- 'pending' asks for the delivery to be expanded again.
CREATE TABLE event_outcomes (
    event_row_id INTEGER PRIMARY KEY REFERENCES events (event_row_id),
    result       TEXT NOT NULL CHECK (result IN ('pending', 'duplicate', 'ignored', 'unparsed')),
    error        TEXT
) STRICT;
CREATE INDEX event_outcomes_by_result ON event_outcomes (result, event_row_id);

CREATE TABLE chats (
    chat_row_id     INTEGER PRIMARY KEY,
    app_id          TEXT NOT NULL,
    chat_id         TEXT NOT NULL,
    name            TEXT,
    chat_type       TEXT,
    bot_in_chat     INTEGER CHECK (bot_in_chat IN (0, 1)),
    messages        INTEGER NOT NULL DEFAULT 0,
    last_message_at INTEGER,

    -- What events tell of a chat. Each fact stands with the time at which the platform says it came
    -- about (`…_told_at`), so that a late delivery does not undo a newer one.
    name_told_at      INTEGER,
    bot_told_at       INTEGER,
    downloads         TEXT CHECK (downloads IN ('allowed', 'forbidden')),
    downloads_told_at INTEGER,
    disbanded_at      INTEGER,

    -- When we learnt that a cause was cleared, by our own clock: what was tried before is due again.
    bot_added_at         INTEGER,
    downloads_allowed_at INTEGER,

    -- Names are looked up when they are due: at first sight, and again when they have grown old. The
    -- chat of one person with the bot has none.
    name_due_at    INTEGER NOT NULL DEFAULT 0,
    members_due_at INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT chat_identity UNIQUE (app_id, chat_id)
) STRICT;
CREATE INDEX chats_by_name_due ON chats (app_id, name_due_at) WHERE chat_type IS NOT 'p2p';

-- `chat_id` is a chat that the sender was seen in: its list of members may tell the name.
CREATE TABLE senders (
    sender_row_id INTEGER PRIMARY KEY,
    app_id        TEXT NOT NULL,
    open_id       TEXT NOT NULL,
    name          TEXT,
    chat_id       TEXT,
    name_due_at   INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT sender_identity UNIQUE (app_id, open_id)
) STRICT;
CREATE INDEX senders_by_name_due ON senders (app_id, name_due_at);

CREATE TABLE messages (
    message_row_id INTEGER PRIMARY KEY,
    app_id         TEXT NOT NULL,
    message_id     TEXT NOT NULL,
    tenant_key     TEXT,
    chat_id        TEXT NOT NULL,
    chat_type      TEXT,
    thread_id      TEXT,
    root_id        TEXT,
    parent_id      TEXT,
    sender_open_id TEXT,
    sender_type    TEXT CHECK (sender_type IN ('user', 'bot')),
    message_type   TEXT NOT NULL,
    text           TEXT,
    problem        TEXT CHECK (problem IN ('content_unreadable')),
    event_row_id   INTEGER REFERENCES events (event_row_id),
    sent_at        INTEGER,
    seen_at        INTEGER NOT NULL,
    recalled_at    INTEGER,
    recalled_by    TEXT,
    hidden         INTEGER NOT NULL DEFAULT 0 CHECK (hidden IN (0, 1)),
    CONSTRAINT message_identity UNIQUE (app_id, message_id)
) STRICT;
-- Two apps seldom see one chat, so the app is looked at in the rows.
CREATE INDEX messages_by_chat ON messages (chat_id, sent_at);
-- Another policy hides or shows what was recalled before.
CREATE INDEX messages_recalled ON messages (hidden) WHERE recalled_at IS NOT NULL;
-- What lies in a forward is asked from the forward, so the forward's chat is the one that blocks it.
CREATE INDEX messages_forwards ON messages (app_id, chat_id) WHERE message_type = 'merge_forward';

-- Custody: the bytes in the store, once for each digest. Whether the archive has some bytes is said here and nowhere
-- else. `verified_at` is when they were last read as a whole and were right. What somebody finds missing or wrong
-- stays, with its damage, until the bytes are back. While a blob is `unsettled`, some of its resources may not show
-- yet what became of it.
CREATE TABLE blobs (
    blob_row_id INTEGER PRIMARY KEY,
    digest      BLOB NOT NULL CHECK (length(digest) = 32),
    size_bytes  INTEGER NOT NULL,
    mime        TEXT,
    stored_at   INTEGER NOT NULL,
    verified_at INTEGER NOT NULL,
    damage      TEXT CHECK (damage IN ('missing', 'corrupt')),
    damaged_at  INTEGER,
    unsettled   INTEGER NOT NULL DEFAULT 0 CHECK (unsettled IN (0, 1)),
    CONSTRAINT blob_identity UNIQUE (digest),
    CONSTRAINT damage_was_seen CHECK ((damage IS NULL) = (damaged_at IS NULL))
) STRICT;
CREATE INDEX blobs_unsettled ON blobs (blob_row_id) WHERE unsettled = 1;

-- A resource's row is its job: there is no second queue that could disagree with the catalogue.
-- What a resource is, are its app, source, message, type and key. Messages come one after the other, so that their
-- resources stand at the end of that index; the ids of messages are random, and each would change some leaf of another.
-- `owner` is what a resource without such a row belongs to: the ticket, a message that the archive was never told of,
-- or nothing, which is empty. No part of it is NULL. `listed_at` is the time it is listed under: when its message was
-- sent, else when it was first seen. `failures` counts failures in a row, `failures_alike` those of them at the end that
-- had the same reason. Ids are public and some rows go: none is given again.
--
-- Ticket images are asked for by ticket, message and position; the API wants the position for posts and
-- refuses it for messages that are an image. Both have position 0 in their key, so `index_asked` says which
-- it is. What a message says of its resources (`sender_open_id`, `message_type`) is repeated in them, so that
-- an index can list them by it.
--
-- What has lost its bytes still points to their blob. `size_bytes` repeats the blob's, for counters and filters;
-- `stored_at` is when this resource got its bytes. `cover_key` is in a video: the key of the image in the same
-- message that is shown for it.
CREATE TABLE resources (
    resource_row_id      INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id               TEXT NOT NULL,
    tenant_key           TEXT,
    source               TEXT NOT NULL
        CHECK (source IN ('message', 'image', 'file', 'baike', 'lingo', 'ticket_image')),
    owner                TEXT NOT NULL DEFAULT '',
    type                 TEXT NOT NULL CHECK (type IN ('image', 'file', '')),
    key                  TEXT NOT NULL,
    role                 TEXT NOT NULL
        CHECK (role IN ('image', 'file', 'audio', 'video', 'cover', 'sticker', 'folder', 'card_image', 'forward')),
    message_row_id       INTEGER REFERENCES messages (message_row_id),
    download_message_id  TEXT,
    chat_id              TEXT NOT NULL DEFAULT '',
    file_name            TEXT,
    mime                 TEXT,
    size_bytes           INTEGER,
    blob_row_id          INTEGER REFERENCES blobs (blob_row_id),
    state                TEXT NOT NULL
        CHECK (state IN ('pending', 'running', 'stored', 'blocked', 'gone', 'impossible')),
    reason_code          TEXT,
    upstream_http_status INTEGER,
    upstream_code        INTEGER,
    upstream_msg         TEXT,
    upstream_log_id      TEXT,
    attempts             INTEGER NOT NULL DEFAULT 0,
    failures             INTEGER NOT NULL DEFAULT 0,
    failures_alike       INTEGER NOT NULL DEFAULT 0,
    rate_waits           INTEGER NOT NULL DEFAULT 0,
    failing_since        INTEGER,
    next_attempt_at      INTEGER,
    lease_owner          TEXT,
    lease_until          INTEGER,
    listed_at            INTEGER NOT NULL,
    seen_at              INTEGER NOT NULL,
    stored_at            INTEGER,
    index_asked          INTEGER NOT NULL DEFAULT 0 CHECK (index_asked IN (0, 1)),
    sender_open_id       TEXT,
    message_type         TEXT,
    cover_key            TEXT,
    CONSTRAINT owner_unless_message_known CHECK (source <> 'message' OR (owner = '') = (message_row_id IS NOT NULL)),
    CONSTRAINT stored_means_bytes CHECK (
        state <> 'stored'
        OR (blob_row_id IS NOT NULL AND size_bytes IS NOT NULL AND stored_at IS NOT NULL AND reason_code IS NULL)
    ),
    CONSTRAINT running_means_lease CHECK ((state = 'running') = (lease_owner IS NOT NULL AND lease_until IS NOT NULL)),
    CONSTRAINT ended_means_reason CHECK (state NOT IN ('blocked', 'gone', 'impossible') OR reason_code IS NOT NULL)
) STRICT;

CREATE UNIQUE INDEX resource_of_message ON resources (message_row_id, source, type, key)
    WHERE message_row_id IS NOT NULL;
CREATE UNIQUE INDEX resource_of_owner ON resources (app_id, source, owner, type, key)
    WHERE source <> 'message' OR message_row_id IS NULL;

-- The queue: what is due at once (newest first), what waits for its next attempt, what runs. Opening a forward
-- has a queue of its own in the same table: neither waits behind the other.
CREATE INDEX resources_due ON resources (app_id, (role = 'forward'), listed_at)
    WHERE state = 'pending' AND next_attempt_at IS NULL;
CREATE INDEX resources_waiting ON resources (app_id, (role = 'forward'), next_attempt_at)
    WHERE state = 'pending' AND next_attempt_at IS NOT NULL;
CREATE INDEX resources_running ON resources (lease_until) WHERE state = 'running';
CREATE INDEX resources_unfinished ON resources (resource_row_id) WHERE state IN ('pending', 'running');
-- What is asked from the same forward under the same type and key is fetched once.
CREATE INDEX resources_by_container ON resources (app_id, download_message_id, type, key)
    WHERE download_message_id IS NOT NULL;
-- What a cause that clears makes due again, all at once or a portion at a time, in the order of the rows.
CREATE INDEX resources_blocked ON resources (app_id, chat_id, reason_code) WHERE state = 'blocked';
CREATE INDEX resources_blocked_in_forwards ON resources (app_id, download_message_id)
    WHERE state = 'blocked' AND download_message_id IS NOT NULL;
CREATE INDEX resources_blocked_in_order ON resources (resource_row_id, app_id, reason_code) WHERE state = 'blocked';
-- What failed, in groups that a person looks at together, the newest of each group first. What never
-- failed is not in it.
CREATE INDEX resources_by_reason ON resources (reason_code, state, app_id, listed_at) WHERE reason_code IS NOT NULL;
-- Listings: one index for each filter, in their order. Most resources come from messages, so only the others
-- need to be found by their source.
CREATE INDEX resources_listed ON resources (listed_at, resource_row_id);
CREATE INDEX resources_by_state ON resources (state, listed_at, resource_row_id) WHERE state <> 'stored';
CREATE INDEX resources_by_chat ON resources (chat_id, listed_at, resource_row_id);
CREATE INDEX resources_by_sender ON resources (sender_open_id, listed_at, resource_row_id);
CREATE INDEX resources_by_message_type ON resources (message_type, listed_at, resource_row_id);
CREATE INDEX resources_by_role ON resources (role, listed_at, resource_row_id);
CREATE INDEX resources_by_app ON resources (app_id, listed_at, resource_row_id);
CREATE INDEX resources_by_mime ON resources (mime, listed_at, resource_row_id) WHERE mime IS NOT NULL;
CREATE INDEX resources_by_source ON resources (source, listed_at, resource_row_id) WHERE source <> 'message';
CREATE INDEX resources_by_blob ON resources (blob_row_id, listed_at, resource_row_id) WHERE blob_row_id IS NOT NULL;
-- Look-ups. A key that is asked for by hand may be in a message that is known. Keys are long and random, and
-- each new one changes some leaf of their index. Their ends tell them apart as well, and take a sixth of the
-- leaves: that many fewer for each batch of messages to write.
CREATE INDEX resources_by_key ON resources (substr(key, -8)) WHERE source = 'message';

CREATE TABLE tries (
    try_row_id           INTEGER PRIMARY KEY,
    resource_row_id      INTEGER NOT NULL REFERENCES resources (resource_row_id) ON DELETE CASCADE,
    started_at           INTEGER NOT NULL,
    ended_at             INTEGER NOT NULL,
    result               TEXT NOT NULL,
    reason_code          TEXT,
    upstream_http_status INTEGER,
    upstream_code        INTEGER,
    upstream_msg         TEXT,
    upstream_log_id      TEXT
) STRICT;
CREATE INDEX tries_by_resource ON tries (resource_row_id, try_row_id);

-- Counters, kept in the transaction that changes what they count: statistics cost the same at
-- every size of the archive.
CREATE TABLE tallies (
    role      TEXT NOT NULL,
    state     TEXT NOT NULL,
    resources INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    PRIMARY KEY (role, state)
) STRICT, WITHOUT ROWID;

CREATE TABLE chat_tallies (
    app_id    TEXT NOT NULL,
    chat_id   TEXT NOT NULL,
    state     TEXT NOT NULL,
    resources INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    PRIMARY KEY (app_id, chat_id, state)
) STRICT, WITHOUT ROWID;
-- The chats that fill the store.
CREATE INDEX chat_tallies_by_bytes ON chat_tallies (bytes) WHERE state = 'stored';

CREATE TABLE totals (
    name  TEXT PRIMARY KEY CHECK (name IN ('messages', 'chats', 'blobs', 'blob_bytes')),
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO totals (name, value) VALUES ('messages', 0), ('chats', 0), ('blobs', 0), ('blob_bytes', 0);

CREATE TRIGGER messages_counted AFTER INSERT ON messages BEGIN
    UPDATE totals SET value = value + 1 WHERE name = 'messages';
    INSERT INTO chats (app_id, chat_id, chat_type, messages, last_message_at)
    VALUES (NEW.app_id, NEW.chat_id, NEW.chat_type, 1, COALESCE(NEW.sent_at, NEW.seen_at))
    ON CONFLICT (app_id, chat_id) DO UPDATE SET
        messages = messages + 1,
        chat_type = COALESCE(chat_type, excluded.chat_type),
        last_message_at = MAX(COALESCE(last_message_at, 0), excluded.last_message_at);
END;

CREATE TRIGGER chats_counted AFTER INSERT ON chats BEGIN
    UPDATE totals SET value = value + 1 WHERE name = 'chats';
END;

-- Counted is what is in the store: not what is damaged.
CREATE TRIGGER blobs_counted AFTER INSERT ON blobs BEGIN
    UPDATE totals SET value = value + 1 WHERE name = 'blobs';
    UPDATE totals SET value = value + NEW.size_bytes WHERE name = 'blob_bytes';
END;

CREATE TRIGGER blobs_recounted AFTER UPDATE OF damage ON blobs
WHEN (OLD.damage IS NULL) <> (NEW.damage IS NULL) BEGIN
    UPDATE totals SET value = value + iif(NEW.damage IS NULL, 1, -1) WHERE name = 'blobs';
    UPDATE totals SET value = value + iif(NEW.damage IS NULL, NEW.size_bytes, -NEW.size_bytes)
    WHERE name = 'blob_bytes';
END;

CREATE TRIGGER resources_counted AFTER INSERT ON resources BEGIN
    INSERT INTO tallies (role, state, resources, bytes)
    VALUES (NEW.role, NEW.state, 1, COALESCE(NEW.size_bytes, 0))
    ON CONFLICT (role, state) DO UPDATE SET resources = resources + 1, bytes = bytes + excluded.bytes;
    INSERT INTO chat_tallies (app_id, chat_id, state, resources, bytes)
    VALUES (NEW.app_id, NEW.chat_id, NEW.state, 1, COALESCE(NEW.size_bytes, 0))
    ON CONFLICT (app_id, chat_id, state) DO UPDATE SET resources = resources + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER resources_recounted AFTER UPDATE OF role, state, size_bytes, app_id, chat_id ON resources
WHEN OLD.role <> NEW.role OR OLD.state <> NEW.state OR OLD.size_bytes IS NOT NEW.size_bytes
    OR OLD.chat_id <> NEW.chat_id OR OLD.app_id <> NEW.app_id BEGIN
    UPDATE tallies SET resources = resources - 1, bytes = bytes - COALESCE(OLD.size_bytes, 0)
    WHERE role = OLD.role AND state = OLD.state;
    INSERT INTO tallies (role, state, resources, bytes)
    VALUES (NEW.role, NEW.state, 1, COALESCE(NEW.size_bytes, 0))
    ON CONFLICT (role, state) DO UPDATE SET resources = resources + 1, bytes = bytes + excluded.bytes;
    UPDATE chat_tallies SET resources = resources - 1, bytes = bytes - COALESCE(OLD.size_bytes, 0)
    WHERE app_id = OLD.app_id AND chat_id = OLD.chat_id AND state = OLD.state;
    INSERT INTO chat_tallies (app_id, chat_id, state, resources, bytes)
    VALUES (NEW.app_id, NEW.chat_id, NEW.state, 1, COALESCE(NEW.size_bytes, 0))
    ON CONFLICT (app_id, chat_id, state) DO UPDATE SET resources = resources + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER resources_uncounted AFTER DELETE ON resources BEGIN
    UPDATE tallies SET resources = resources - 1, bytes = bytes - COALESCE(OLD.size_bytes, 0)
    WHERE role = OLD.role AND state = OLD.state;
    UPDATE chat_tallies SET resources = resources - 1, bytes = bytes - COALESCE(OLD.size_bytes, 0)
    WHERE app_id = OLD.app_id AND chat_id = OLD.chat_id AND state = OLD.state;
END;

-- The texts of reasons, written by the program at every start, so that views can show them.
CREATE TABLE reasons (
    reason_code TEXT PRIMARY KEY,
    state       TEXT NOT NULL,
    cause_en    TEXT NOT NULL,
    remedy_zh   TEXT NOT NULL,
    remedy_en   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE VIEW v_resources AS
SELECT
    printf('r%012x', r.resource_row_id) AS id,
    r.app_id,
    COALESCE(r.tenant_key, m.tenant_key) AS tenant_key,
    r.source,
    COALESCE(m.message_id, iif(r.source = 'message', r.owner, NULL)) AS message_id,
    r.download_message_id,
    NULLIF(r.chat_id, '') AS chat_id,
    c.name AS chat_name,
    COALESCE(m.chat_type, c.chat_type) AS chat_type,
    m.thread_id,
    m.sender_open_id,
    s.name AS sender_name,
    m.sender_type,
    m.message_type,
    r.role,
    r.key,
    NULLIF(r.type, '') AS type,
    r.file_name,
    r.mime,
    r.size_bytes,
    NULLIF(lower(hex(b.digest)), '') AS sha256,
    CASE WHEN r.state = 'stored'
        THEN lower(printf('sha256/%.2s/%.2s/%s', hex(b.digest), substr(hex(b.digest), 3), hex(b.digest)))
    END AS blob_path,
    r.state,
    r.reason_code,
    reasons.cause_en AS reason,
    reasons.remedy_zh,
    reasons.remedy_en,
    r.upstream_http_status,
    r.upstream_code,
    r.upstream_msg,
    r.upstream_log_id,
    r.attempts,
    r.next_attempt_at,
    m.sent_at,
    r.seen_at,
    r.stored_at,
    m.recalled_at,
    COALESCE(m.hidden, 0) AS hidden,
    m.recalled_by
FROM resources AS r
LEFT JOIN blobs AS b ON b.blob_row_id = r.blob_row_id
LEFT JOIN messages AS m ON m.message_row_id = r.message_row_id
LEFT JOIN chats AS c ON c.app_id = r.app_id AND c.chat_id = r.chat_id
LEFT JOIN senders AS s ON s.app_id = r.app_id AND s.open_id = m.sender_open_id
LEFT JOIN reasons ON reasons.reason_code = r.reason_code;

CREATE VIEW v_failed AS
SELECT *
FROM v_resources
WHERE state IN ('blocked', 'gone', 'impossible')
    OR (state IN ('pending', 'running') AND reason_code IS NOT NULL);

CREATE VIEW v_messages AS
SELECT
    m.app_id,
    m.tenant_key,
    m.message_id,
    m.chat_id,
    c.name AS chat_name,
    COALESCE(m.chat_type, c.chat_type) AS chat_type,
    m.thread_id,
    m.parent_id,
    m.sender_open_id,
    s.name AS sender_name,
    m.sender_type,
    m.message_type,
    m.text,
    m.problem,
    (SELECT COUNT(*) FROM resources AS r WHERE r.message_row_id = m.message_row_id) AS resources,
    m.sent_at,
    m.seen_at,
    m.recalled_at,
    m.recalled_by
FROM messages AS m
LEFT JOIN chats AS c ON c.app_id = m.app_id AND c.chat_id = m.chat_id
LEFT JOIN senders AS s ON s.app_id = m.app_id AND s.open_id = m.sender_open_id;

CREATE VIEW v_chats AS
SELECT
    c.app_id,
    c.chat_id,
    c.name AS chat_name,
    c.chat_type,
    c.bot_in_chat,
    c.messages,
    COALESCE(SUM(t.resources), 0) AS resources,
    COALESCE(SUM(t.resources) FILTER (WHERE t.state = 'stored'), 0) AS stored,
    COALESCE(SUM(t.resources) FILTER (WHERE t.state IN ('pending', 'running')), 0) AS pending,
    COALESCE(SUM(t.resources) FILTER (WHERE t.state IN ('blocked', 'gone', 'impossible')), 0) AS failed,
    COALESCE(SUM(t.bytes) FILTER (WHERE t.state = 'stored'), 0) AS bytes,
    c.last_message_at
FROM chats AS c
LEFT JOIN chat_tallies AS t ON t.app_id = c.app_id AND t.chat_id = c.chat_id
GROUP BY c.chat_row_id;

-- How many images a post in a ticket has, where an event or a walk through it told: whoever wants
-- all of them again need not ask the platform where they end.
CREATE TABLE ticket_posts (
    app_id    TEXT NOT NULL,
    ticket_id TEXT NOT NULL,
    msg_id    TEXT NOT NULL,
    images    INTEGER NOT NULL,
    PRIMARY KEY (app_id, ticket_id, msg_id)
) STRICT, WITHOUT ROWID;

-- A message that a ticket told first is completed by its own event, which knows the real chat.
CREATE TRIGGER messages_moved AFTER UPDATE OF chat_id ON messages WHEN OLD.chat_id <> NEW.chat_id BEGIN
    UPDATE chats SET messages = messages - 1 WHERE app_id = OLD.app_id AND chat_id = OLD.chat_id;
    INSERT INTO chats (app_id, chat_id, chat_type, messages, last_message_at)
    VALUES (NEW.app_id, NEW.chat_id, NEW.chat_type, 1, COALESCE(NEW.sent_at, NEW.seen_at))
    ON CONFLICT (app_id, chat_id) DO UPDATE SET
        messages = messages + 1,
        chat_type = COALESCE(chat_type, excluded.chat_type),
        last_message_at = MAX(COALESCE(last_message_at, 0), excluded.last_message_at);
    UPDATE resources SET chat_id = NEW.chat_id WHERE message_row_id = NEW.message_row_id;
END;

-- Recalls, also of messages that have not come yet: events come in no order.
CREATE TABLE recalls (
    app_id      TEXT NOT NULL,
    message_id  TEXT NOT NULL,
    recalled_at INTEGER NOT NULL,
    recalled_by TEXT,
    PRIMARY KEY (app_id, message_id)
) STRICT, WITHOUT ROWID;

-- Whether recalled messages are hidden. Written at every start.
CREATE TABLE recall_policy (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    hide     INTEGER NOT NULL CHECK (hide IN (0, 1))
) STRICT;
INSERT INTO recall_policy (only_row, hide) VALUES (1, 0);

-- A message and its recall find each other in whichever order they come.
CREATE TRIGGER recalls_marked AFTER INSERT ON recalls BEGIN
    UPDATE messages SET
        recalled_at = NEW.recalled_at,
        recalled_by = NEW.recalled_by,
        hidden = (SELECT hide FROM recall_policy)
    WHERE app_id = NEW.app_id AND message_id = NEW.message_id;
END;

CREATE TRIGGER messages_marked AFTER INSERT ON messages
WHEN EXISTS (SELECT 1 FROM recalls WHERE app_id = NEW.app_id AND message_id = NEW.message_id) BEGIN
    UPDATE messages SET
        (recalled_at, recalled_by) = (
            SELECT recalled_at, recalled_by FROM recalls WHERE app_id = NEW.app_id AND message_id = NEW.message_id
        ),
        hidden = (SELECT hide FROM recall_policy)
    WHERE message_row_id = NEW.message_row_id;
END;

-- Store apps get no token without the ticket that the platform pushes to them about once an hour,
-- so the newest one has to survive a restart.
CREATE TABLE app_tickets (
    app_id  TEXT PRIMARY KEY,
    ticket  TEXT NOT NULL,
    sent_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Tries that were under way when a ticket came. If one of them ends for lack of a ticket, it may
-- just not have seen it, and is due again at once instead of waiting for the next ticket.
CREATE TABLE overtaken_tries (
    resource_row_id INTEGER PRIMARY KEY REFERENCES resources (resource_row_id) ON DELETE CASCADE
) STRICT;

-- Messages that somebody answered and nobody told us of: each is asked for, once it has answered or
-- refused for good it is not asked for again, unless what its chat had against it is gone. `quoted_by` is the
-- message that made it known, `asked_at` when the last question began.
CREATE TABLE quoted_messages (
    quoted_row_id        INTEGER PRIMARY KEY,
    app_id               TEXT NOT NULL,
    message_id           TEXT NOT NULL,
    quoted_by            TEXT NOT NULL,
    state                TEXT NOT NULL CHECK (state IN ('pending', 'found', 'failed')),
    reason_code          TEXT,
    upstream_http_status INTEGER,
    upstream_code        INTEGER,
    upstream_msg         TEXT,
    upstream_log_id      TEXT,
    attempts             INTEGER NOT NULL DEFAULT 0,
    next_attempt_at      INTEGER NOT NULL,
    chat_id              TEXT NOT NULL DEFAULT '',
    asked_at             INTEGER,
    CONSTRAINT quoted_message_identity UNIQUE (app_id, message_id),
    CONSTRAINT failed_means_reason CHECK (state <> 'failed' OR reason_code IS NOT NULL)
) STRICT;
CREATE INDEX quoted_messages_due ON quoted_messages (app_id, next_attempt_at) WHERE state = 'pending';
CREATE INDEX quoted_messages_failed ON quoted_messages (app_id, chat_id, reason_code) WHERE state = 'failed';
-- What a start makes due is looked for a portion at a time, in the order of rows.
CREATE INDEX quoted_messages_unfound ON quoted_messages (quoted_row_id, state, reason_code) WHERE state <> 'found';

-- For operators: quoted messages that could not be had, and why.
CREATE VIEW v_quoted_failed AS
SELECT
    q.app_id,
    q.message_id,
    q.quoted_by,
    q.state,
    q.reason_code,
    reasons.cause_en AS reason,
    reasons.remedy_zh,
    reasons.remedy_en,
    q.upstream_http_status,
    q.upstream_code,
    q.upstream_msg,
    q.upstream_log_id,
    q.attempts,
    q.next_attempt_at
FROM quoted_messages AS q
LEFT JOIN reasons ON reasons.reason_code = q.reason_code
WHERE q.reason_code IS NOT NULL AND q.state <> 'found';

-- What lies in forwards is known by itself, not by its resources: a message without any lies in one
-- as well, and bytes that its own message handed out tell of no forward.

-- What the platform listed when it was asked for a message: that message, and everything inside it.
CREATE TABLE listed_messages (
    app_id           TEXT NOT NULL,
    asked_message_id TEXT NOT NULL,
    message_row_id   INTEGER NOT NULL REFERENCES messages (message_row_id) ON DELETE CASCADE,
    PRIMARY KEY (app_id, asked_message_id, message_row_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX listed_messages_by_message ON listed_messages (message_row_id);

-- A message that no delivery told is recalled when everything that listed it is. Whichever of
-- recall, listing and delivery comes last, one of these three triggers settles it.
CREATE TRIGGER recalls_marked_inside AFTER INSERT ON recalls BEGIN
    UPDATE messages SET
        recalled_at = NEW.recalled_at,
        recalled_by = NEW.recalled_by,
        hidden = (SELECT hide FROM recall_policy)
    WHERE recalled_at IS NULL AND event_row_id IS NULL
        AND message_row_id IN (
            SELECT message_row_id FROM listed_messages
            WHERE app_id = NEW.app_id AND asked_message_id = NEW.message_id
        )
        AND NOT EXISTS (
            SELECT 1 FROM listed_messages AS l
            WHERE l.message_row_id = messages.message_row_id AND NOT EXISTS (
                SELECT 1 FROM recalls AS r WHERE r.app_id = l.app_id AND r.message_id = l.asked_message_id
            )
        );
END;

CREATE TRIGGER listed_messages_marked AFTER INSERT ON listed_messages BEGIN
    UPDATE messages SET
        recalled_at = r.recalled_at,
        recalled_by = r.recalled_by,
        hidden = (SELECT hide FROM recall_policy)
    FROM recalls AS r
    WHERE messages.message_row_id = NEW.message_row_id
        AND messages.recalled_at IS NULL AND messages.event_row_id IS NULL
        AND r.app_id = NEW.app_id AND r.message_id = NEW.asked_message_id
        AND NOT EXISTS (
            SELECT 1 FROM listed_messages AS l
            WHERE l.message_row_id = NEW.message_row_id AND NOT EXISTS (
                SELECT 1 FROM recalls AS other
                WHERE other.app_id = l.app_id AND other.message_id = l.asked_message_id
            )
        );
    UPDATE messages SET recalled_at = NULL, recalled_by = NULL, hidden = 0
    WHERE message_row_id = NEW.message_row_id AND recalled_at IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM recalls AS r
        WHERE r.app_id = NEW.app_id AND r.message_id IN (NEW.asked_message_id, messages.message_id)
    );
END;

CREATE TRIGGER messages_told AFTER UPDATE OF event_row_id ON messages
WHEN OLD.event_row_id IS NULL AND NEW.event_row_id IS NOT NULL AND NEW.recalled_at IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM recalls WHERE app_id = NEW.app_id AND message_id = NEW.message_id) BEGIN
    UPDATE messages SET recalled_at = NULL, recalled_by = NULL, hidden = 0 WHERE message_row_id = NEW.message_row_id;
END;

CREATE TRIGGER messages_described AFTER UPDATE OF sender_open_id, message_type ON messages
WHEN OLD.sender_open_id IS NOT NEW.sender_open_id OR OLD.message_type IS NOT NEW.message_type BEGIN
    UPDATE resources SET sender_open_id = NEW.sender_open_id, message_type = NEW.message_type
    WHERE message_row_id = NEW.message_row_id;
END;

-- The text index keeps no texts, only which rows have which pieces of text; pieces are made by the
-- program. Its row numbers grow with the time a resource is listed under: that time, shifted by 15
-- bits, and a number that tells apart what shares a millisecond. So the newest hits come first,
-- without sorting, also after older messages were added.
--
-- A row of the index is never changed or removed, which without the texts would need what newer
-- versions of SQLite know: a resource that changes gets another row, and the old one loses its
-- entry in search_rows, but keeps its number.
CREATE VIRTUAL TABLE search_index USING fts5 (
    pieces, content = '', columnsize = 0, detail = none, tokenize = "ascii tokenchars '_'"
);
CREATE TABLE search_rows (
    search_row_id   INTEGER PRIMARY KEY,
    resource_row_id INTEGER
) STRICT;

-- Resources whose text the index does not know yet, or (`again`) no longer as it is: only these may have a row
-- in the index, which is looked for among all that share their millisecond.
CREATE TABLE search_pending (
    resource_row_id INTEGER PRIMARY KEY,
    again           INTEGER NOT NULL CHECK (again IN (0, 1))
) STRICT;

CREATE TRIGGER resources_to_search AFTER INSERT ON resources BEGIN
    INSERT INTO search_pending (resource_row_id, again) VALUES (NEW.resource_row_id, 0)
    ON CONFLICT (resource_row_id) DO NOTHING;
END;

CREATE TRIGGER resources_to_search_again
AFTER UPDATE OF file_name, role, app_id, chat_id, sender_open_id, message_row_id, listed_at ON resources
WHEN OLD.file_name IS NOT NEW.file_name OR OLD.role <> NEW.role OR OLD.app_id <> NEW.app_id
    OR OLD.chat_id <> NEW.chat_id OR OLD.sender_open_id IS NOT NEW.sender_open_id
    OR OLD.message_row_id IS NOT NEW.message_row_id OR OLD.listed_at <> NEW.listed_at BEGIN
    INSERT INTO search_pending (resource_row_id, again) VALUES (NEW.resource_row_id, 1)
    ON CONFLICT (resource_row_id) DO UPDATE SET again = 1;
END;

-- The row in the index is found by the time, so it has to go before the time is forgotten.
CREATE TRIGGER resources_listed_elsewhere AFTER UPDATE OF listed_at ON resources
WHEN OLD.listed_at <> NEW.listed_at BEGIN
    UPDATE search_rows SET resource_row_id = NULL
    WHERE search_row_id BETWEEN OLD.listed_at << 15 AND (OLD.listed_at << 15) + 32767
        AND resource_row_id = OLD.resource_row_id;
END;

CREATE TRIGGER resources_not_to_search AFTER DELETE ON resources BEGIN
    DELETE FROM search_pending WHERE resource_row_id = OLD.resource_row_id;
    UPDATE search_rows SET resource_row_id = NULL
    WHERE search_row_id BETWEEN OLD.listed_at << 15 AND (OLD.listed_at << 15) + 32767
        AND resource_row_id = OLD.resource_row_id;
END;

CREATE TRIGGER messages_to_search_again AFTER UPDATE OF text ON messages WHEN OLD.text IS NOT NEW.text BEGIN
    INSERT INTO search_pending (resource_row_id, again)
    SELECT resource_row_id, 1 FROM resources WHERE message_row_id = NEW.message_row_id
    ON CONFLICT (resource_row_id) DO UPDATE SET again = 1;
END;

-- Which pieces the text index knows, in their order: the beginning of a word is looked up here, and asked for
-- as the few words that begin so. The index itself would put all their rows together before the first comes out.
CREATE VIRTUAL TABLE search_pieces USING fts5vocab ('search_index', 'instance');

-- Names of chats (even row numbers) and senders (odd ones) have an index of their own: a rename
-- rewrites one row, and none of the resources'.
CREATE VIRTUAL TABLE name_index USING fts5 (
    pieces, columnsize = 0, detail = none, tokenize = "ascii tokenchars '_'"
);
CREATE TABLE name_pending (
    name_row_id INTEGER PRIMARY KEY
) STRICT;

CREATE TRIGGER chats_introduced AFTER INSERT ON chats WHEN NEW.name IS NOT NULL BEGIN
    INSERT INTO name_pending (name_row_id) VALUES (NEW.chat_row_id * 2) ON CONFLICT (name_row_id) DO NOTHING;
END;
CREATE TRIGGER chats_renamed AFTER UPDATE OF name ON chats WHEN OLD.name IS NOT NEW.name BEGIN
    INSERT INTO name_pending (name_row_id) VALUES (NEW.chat_row_id * 2) ON CONFLICT (name_row_id) DO NOTHING;
END;
CREATE TRIGGER senders_introduced AFTER INSERT ON senders WHEN NEW.name IS NOT NULL BEGIN
    INSERT INTO name_pending (name_row_id) VALUES (NEW.sender_row_id * 2 + 1) ON CONFLICT (name_row_id) DO NOTHING;
END;
CREATE TRIGGER senders_renamed AFTER UPDATE OF name ON senders WHEN OLD.name IS NOT NEW.name BEGIN
    INSERT INTO name_pending (name_row_id) VALUES (NEW.sender_row_id * 2 + 1) ON CONFLICT (name_row_id) DO NOTHING;
END;

-- What pages and statistics show by day, and what needs a person, kept so that both cost the same at
-- every size of the archive.

-- Counted are quarters of an hour since 1970-01-01 UTC, of which every day of every time zone is made up:
-- where the archive's people live is a setting that may change. `found` counts resources in the quarter in
-- which they were first seen, `stored` and `bytes` in the one in which their bytes became safe. Forwards are
-- no resources yet and not counted. A download costs one row change when it is found and one when it is stored; what happens
-- in between costs none.
CREATE TABLE quarter_tallies (
    quarter INTEGER NOT NULL,
    role    TEXT NOT NULL,
    found   INTEGER NOT NULL DEFAULT 0,
    stored  INTEGER NOT NULL DEFAULT 0,
    bytes   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (quarter, role)
) STRICT, WITHOUT ROWID;

-- Blobs that came new in a quarter of an hour: what was stored beyond them was there already.
CREATE TABLE quarter_blobs (
    quarter    INTEGER PRIMARY KEY,
    blobs      INTEGER NOT NULL,
    blob_bytes INTEGER NOT NULL
) STRICT;

CREATE TRIGGER resources_found_then AFTER INSERT ON resources WHEN NEW.role <> 'forward' BEGIN
    INSERT INTO quarter_tallies (quarter, role, found)
    VALUES (NEW.seen_at / 900000, NEW.role, 1)
    ON CONFLICT (quarter, role) DO UPDATE SET found = found + 1;
END;

CREATE TRIGGER resources_added_stored_then AFTER INSERT ON resources WHEN NEW.state = 'stored' BEGIN
    INSERT INTO quarter_tallies (quarter, role, stored, bytes)
    VALUES (NEW.stored_at / 900000, NEW.role, 1, NEW.size_bytes)
    ON CONFLICT (quarter, role) DO UPDATE SET stored = stored + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER resources_lost_then AFTER DELETE ON resources WHEN OLD.role <> 'forward' BEGIN
    UPDATE quarter_tallies SET found = found - 1 WHERE quarter = OLD.seen_at / 900000 AND role = OLD.role;
    UPDATE quarter_tallies SET stored = stored - 1, bytes = bytes - OLD.size_bytes
    WHERE OLD.state = 'stored' AND quarter = OLD.stored_at / 900000 AND role = OLD.role;
END;

-- A resource that was fetched by hand learns its role when its message comes.
CREATE TRIGGER resources_found_as_something_else AFTER UPDATE OF role ON resources WHEN OLD.role <> NEW.role BEGIN
    UPDATE quarter_tallies SET found = found - 1 WHERE quarter = OLD.seen_at / 900000 AND role = OLD.role;
    INSERT INTO quarter_tallies (quarter, role, found)
    VALUES (NEW.seen_at / 900000, NEW.role, 1)
    ON CONFLICT (quarter, role) DO UPDATE SET found = found + 1;
END;

CREATE TRIGGER resources_no_longer_stored_then AFTER UPDATE OF role, state, size_bytes, stored_at ON resources
WHEN OLD.state = 'stored' AND (
    NEW.state <> 'stored' OR OLD.role <> NEW.role OR OLD.size_bytes <> NEW.size_bytes OR OLD.stored_at <> NEW.stored_at
) BEGIN
    UPDATE quarter_tallies SET stored = stored - 1, bytes = bytes - OLD.size_bytes
    WHERE quarter = OLD.stored_at / 900000 AND role = OLD.role;
END;

CREATE TRIGGER resources_stored_then AFTER UPDATE OF role, state, size_bytes, stored_at ON resources
WHEN NEW.state = 'stored' AND (
    OLD.state <> 'stored' OR OLD.role <> NEW.role OR OLD.size_bytes <> NEW.size_bytes OR OLD.stored_at <> NEW.stored_at
) BEGIN
    INSERT INTO quarter_tallies (quarter, role, stored, bytes)
    VALUES (NEW.stored_at / 900000, NEW.role, 1, NEW.size_bytes)
    ON CONFLICT (quarter, role) DO UPDATE SET stored = stored + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER blobs_added_then AFTER INSERT ON blobs BEGIN
    INSERT INTO quarter_blobs (quarter, blobs, blob_bytes)
    VALUES (NEW.stored_at / 900000, 1, NEW.size_bytes)
    ON CONFLICT (quarter) DO UPDATE SET blobs = blobs + 1, blob_bytes = blob_bytes + excluded.blob_bytes;
END;

CREATE TRIGGER blobs_damaged_then AFTER UPDATE OF damage ON blobs
WHEN OLD.damage IS NULL AND NEW.damage IS NOT NULL BEGIN
    UPDATE quarter_blobs SET blobs = blobs - 1, blob_bytes = blob_bytes - OLD.size_bytes
    WHERE quarter = OLD.stored_at / 900000;
END;

CREATE TRIGGER blobs_healed_then AFTER UPDATE OF damage ON blobs
WHEN OLD.damage IS NOT NULL AND NEW.damage IS NULL BEGIN
    INSERT INTO quarter_blobs (quarter, blobs, blob_bytes)
    VALUES (NEW.stored_at / 900000, 1, NEW.size_bytes)
    ON CONFLICT (quarter) DO UPDATE SET blobs = blobs + 1, blob_bytes = blob_bytes + excluded.blob_bytes;
END;

-- The change feed: other systems follow the archive by asking what has changed since they last asked.

-- One row for each resource that there is or was, with the number of its last change. A change gives it a new number
-- in the transaction that makes the change, so that the numbers are in the order of the commits and none turns up
-- behind a reader. The newest number is always there, so none is given twice. A row names the resource and not what
-- changed: readers are shown the resource as it stands when they ask. So nobody misses anything by what is not kept,
-- and the feed grows with the archive only, not with what is done in it.
CREATE TABLE changes (
    seq             INTEGER PRIMARY KEY,
    resource_row_id INTEGER NOT NULL,
    CONSTRAINT change_subject UNIQUE (resource_row_id)
) STRICT;

CREATE TRIGGER changes_of_new_resources AFTER INSERT ON resources BEGIN
    INSERT INTO changes (resource_row_id) VALUES (NEW.resource_row_id);
END;

-- Everything that the public form of a resource shows of its row. (The newest number is asked for with a look at
-- the row, because SQLite would find it only once for all the rows of a statement.)
CREATE TRIGGER changes_of_resources AFTER UPDATE ON resources
WHEN OLD.state IS NOT NEW.state OR OLD.reason_code IS NOT NEW.reason_code OR OLD.attempts IS NOT NEW.attempts
    OR OLD.next_attempt_at IS NOT NEW.next_attempt_at OR OLD.stored_at IS NOT NEW.stored_at
    OR OLD.blob_row_id IS NOT NEW.blob_row_id OR OLD.size_bytes IS NOT NEW.size_bytes OR OLD.mime IS NOT NEW.mime
    OR OLD.file_name IS NOT NEW.file_name OR OLD.upstream_http_status IS NOT NEW.upstream_http_status
    OR OLD.upstream_code IS NOT NEW.upstream_code OR OLD.upstream_msg IS NOT NEW.upstream_msg
    OR OLD.upstream_log_id IS NOT NEW.upstream_log_id OR OLD.message_row_id IS NOT NEW.message_row_id
    OR OLD.chat_id IS NOT NEW.chat_id OR OLD.tenant_key IS NOT NEW.tenant_key
    OR OLD.download_message_id IS NOT NEW.download_message_id OR OLD.role IS NOT NEW.role
    OR OLD.type IS NOT NEW.type OR OLD.key IS NOT NEW.key OR OLD.source IS NOT NEW.source
    OR OLD.owner IS NOT NEW.owner OR OLD.app_id IS NOT NEW.app_id OR OLD.seen_at IS NOT NEW.seen_at
    OR OLD.listed_at IS NOT NEW.listed_at BEGIN
    INSERT INTO changes (resource_row_id) VALUES (NEW.resource_row_id)
    ON CONFLICT (resource_row_id) DO UPDATE SET
        seq = (
            SELECT newest.seq + 1 FROM changes AS newest WHERE newest.seq >= changes.seq ORDER BY newest.seq DESC LIMIT 1
        );
END;

-- An opened forward goes: whoever was told of its row is told that there is none.
CREATE TRIGGER changes_of_removed_resources AFTER DELETE ON resources BEGIN
    INSERT INTO changes (resource_row_id) VALUES (OLD.resource_row_id)
    ON CONFLICT (resource_row_id) DO UPDATE SET
        seq = (
            SELECT newest.seq + 1 FROM changes AS newest WHERE newest.seq >= changes.seq ORDER BY newest.seq DESC LIMIT 1
        );
END;

-- What a resource shows of its message: recalled, hidden, or known by hearsay and now completed.
CREATE TRIGGER changes_of_messages AFTER UPDATE ON messages
WHEN OLD.tenant_key IS NOT NEW.tenant_key OR OLD.message_id IS NOT NEW.message_id
    OR OLD.chat_type IS NOT NEW.chat_type OR OLD.thread_id IS NOT NEW.thread_id
    OR OLD.sender_open_id IS NOT NEW.sender_open_id OR OLD.sender_type IS NOT NEW.sender_type
    OR OLD.message_type IS NOT NEW.message_type OR OLD.sent_at IS NOT NEW.sent_at
    OR OLD.recalled_at IS NOT NEW.recalled_at OR OLD.hidden IS NOT NEW.hidden BEGIN
    INSERT INTO changes (resource_row_id)
    SELECT resource_row_id FROM resources WHERE message_row_id = NEW.message_row_id ORDER BY resource_row_id
    ON CONFLICT (resource_row_id) DO UPDATE SET
        seq = (
            SELECT newest.seq + 1 FROM changes AS newest WHERE newest.seq >= changes.seq ORDER BY newest.seq DESC LIMIT 1
        );
END;

-- Numbers that were shown are not given again. Those of resources are not because of AUTOINCREMENT: the row of an
-- opened forward goes. Of deliveries and changes the newest row stays, and the next number is one more than its own,
-- which costs an append nothing.
CREATE TRIGGER events_keep_the_newest BEFORE DELETE ON events
WHEN OLD.event_row_id = (SELECT MAX(event_row_id) FROM events) BEGIN
    SELECT RAISE(ABORT, 'the newest delivery stays: its number must not be given again');
END;

CREATE TRIGGER changes_keep_the_newest BEFORE DELETE ON changes
WHEN OLD.seq = (SELECT MAX(seq) FROM changes) BEGIN
    SELECT RAISE(ABORT, 'the newest change stays: its number must not be given again');
END;

-- Work that is done later, beside everything else. A row stands here from the transaction that gives the reason for
-- it until the one that does the last of it, so that whatever fails or ends in between is gone on with.
--
-- Kinds are the program's: another one is no other table. `subject` is what the work is about, in the words of its
-- kind; an empty `app_id` means every app. `progress` says how far it has come, and starts anew when somebody asks for
-- the same again; `asked_again` says that somebody did while it was being worked on. The lowest `rank` goes first.
-- `attempts` counts claims, `failures` those in a row that failed.
CREATE TABLE jobs (
    job_row_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT NOT NULL,
    app_id      TEXT NOT NULL,
    subject     TEXT NOT NULL,
    rank        INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    progress    INTEGER NOT NULL DEFAULT 0,
    asked_again INTEGER NOT NULL DEFAULT 0 CHECK (asked_again IN (0, 1)),
    attempts    INTEGER NOT NULL DEFAULT 0,
    failures    INTEGER NOT NULL DEFAULT 0,
    last_error  TEXT,
    lease_owner TEXT,
    lease_until INTEGER,
    CONSTRAINT job_identity UNIQUE (kind, app_id, subject),
    CONSTRAINT lease_has_end CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
) STRICT;
CREATE INDEX jobs_due ON jobs (kind, rank, due_at, job_row_id) WHERE lease_owner IS NULL;
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE lease_owner IS NOT NULL;

-- Whether the catalogue can be written is known only to whoever has written something: a lock that can be had says
-- nothing about a disk that is full or gone. This is what is written.
CREATE TABLE write_probe (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    writes   INTEGER NOT NULL
) STRICT;
INSERT INTO write_probe (only_row, writes) VALUES (1, 0);
