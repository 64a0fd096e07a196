-- What an event has cleared for many resources makes them due a portion at a time, beside everything else. A row
-- stands here from the transaction that tells of the event until the last portion, so that whatever fails or ends
-- in between is gone on with. `chat_id` is empty where a ticket clears something for the whole app;
-- `requeued_through` is the last row of the portion before, where they are taken in the order of rows.
CREATE TABLE cleared_causes (
    cleared_cause_row_id INTEGER PRIMARY KEY,
    app_id               TEXT NOT NULL,
    chat_id              TEXT NOT NULL,
    requeued_through     INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT cleared_cause_identity UNIQUE (app_id, chat_id)
) STRICT;
