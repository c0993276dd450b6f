-- The way not taken: a month written anew without the columns that have expired, then put in the old one's place. Rows
-- that come in between the two would still have to be found and carried over, which is not done here.
CREATE TABLE rebuilt (LIKE {month} INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
INSERT INTO rebuilt SELECT {columns} FROM {month};
ALTER TABLE rebuilt ADD PRIMARY KEY (request_id);
CREATE INDEX ON rebuilt (user_id, request_id);
CREATE INDEX ON rebuilt (model, request_id);
CREATE INDEX ON rebuilt (status, request_id) WHERE status <> 'success';
CREATE INDEX ON rebuilt (cost_usd, request_id) WHERE cost_usd >= 0.1;
ALTER TABLE rebuilt ADD CHECK (request_id >= '{first_id}' AND request_id < '{next_id}');
