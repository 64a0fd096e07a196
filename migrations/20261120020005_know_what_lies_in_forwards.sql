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

-- Of forwards that were opened before, their resources still tell.
INSERT INTO listed_messages (app_id, asked_message_id, message_row_id)
SELECT DISTINCT app_id, download_message_id, message_row_id
FROM resources
WHERE source = 'message' AND download_message_id IS NOT NULL AND message_row_id IS NOT NULL;

-- A message that no delivery told is recalled when everything that listed it is. Whichever of
-- recall, listing and delivery comes last, one of these three triggers settles it.
DROP TRIGGER recalls_marked_inside;
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

-- What lies in a forward is asked from the forward, so the forward's chat is the one that blocks it.
CREATE INDEX messages_forwards ON messages (app_id, chat_id) WHERE message_type = 'merge_forward';
CREATE INDEX resources_blocked_in_forwards ON resources (app_id, download_message_id)
    WHERE state = 'blocked' AND download_message_id IS NOT NULL;

-- What is blocked is made due a portion at a time, in the order of its rows.
CREATE INDEX resources_blocked_in_order ON resources (resource_row_id, app_id, reason_code) WHERE state = 'blocked';

-- Quoted messages are asked for again like resources: once what their chat had against it is gone.
-- `asked_at` is when the last question began.
ALTER TABLE quoted_messages ADD COLUMN chat_id TEXT NOT NULL DEFAULT '';
ALTER TABLE quoted_messages ADD COLUMN asked_at INTEGER;
UPDATE quoted_messages SET chat_id = m.chat_id
FROM messages AS m
WHERE m.app_id = quoted_messages.app_id AND m.message_id = quoted_messages.quoted_by;
CREATE INDEX quoted_messages_failed ON quoted_messages (app_id, chat_id, reason_code) WHERE state = 'failed';
