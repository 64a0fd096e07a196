-- Whether the catalogue can be written is known only to whoever has written something: a lock that can be had says
-- nothing about a disk that is full or gone. This is what is written.
CREATE TABLE write_probe (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    writes   INTEGER NOT NULL
) STRICT;
INSERT INTO write_probe (only_row, writes) VALUES (1, 0);
