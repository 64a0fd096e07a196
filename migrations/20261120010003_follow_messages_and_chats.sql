-- The life of messages and chats: recalls, where the bot is, whether downloads are allowed, and how
-- old the names of chats and people are.

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

CREATE INDEX messages_recalled ON messages (message_row_id) WHERE recalled_at IS NOT NULL;

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

-- What events tell of a chat. Each fact stands with the time at which the platform says it came
-- about (`…_told_at`), so that a late delivery does not undo a newer one.
ALTER TABLE chats ADD COLUMN name_told_at INTEGER;
ALTER TABLE chats ADD COLUMN bot_told_at INTEGER;
ALTER TABLE chats ADD COLUMN downloads TEXT CHECK (downloads IN ('allowed', 'forbidden'));
ALTER TABLE chats ADD COLUMN downloads_told_at INTEGER;
ALTER TABLE chats ADD COLUMN disbanded_at INTEGER;

-- When we learnt that a cause was cleared, by our own clock: what was tried before is due again.
ALTER TABLE chats ADD COLUMN bot_added_at INTEGER;
ALTER TABLE chats ADD COLUMN downloads_allowed_at INTEGER;
CREATE INDEX resources_blocked ON resources (app_id, chat_id, reason_code) WHERE state = 'blocked';

-- Names are looked up when they are due: at first sight, and again when they have grown old. The
-- chat of one person with the bot has none.
ALTER TABLE chats ADD COLUMN name_due_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE chats ADD COLUMN members_due_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX chats_by_name_due ON chats (app_id, name_due_at) WHERE chat_type IS NOT 'p2p';

-- `chat_id` is a chat that the sender was seen in: its list of members may tell the name.
ALTER TABLE senders ADD COLUMN chat_id TEXT;
ALTER TABLE senders ADD COLUMN name_due_at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX senders_by_name_due ON senders (app_id, name_due_at);
