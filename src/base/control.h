/* What is spoken on the control socket, for both of its ends. Text lines of JSON, UTF-8.
 *
 * A connection carries one command. The client sends one request:
 *   {"control": 1, "words": ["list_queues", "-p", "/", "name"], "json": false}
 * words are the command and its arguments as typed; json asks for cells as JSON values instead of
 * text, and for JSON where there is no table; typed for the first of it; dry that nothing be done,
 * node that it be that node, tool says by what name the client goes. The daemon answers with lines,
 * each one of
 *   {"banner": "Listing queues for vhost / ..."}   what happens, for people
 *   {"columns": ["name"], "key": true}             a table begins; key: the first cell of every row
 *                                                  is not shown, it sorts the rows and is unique
 *                                                  "boxed": true: in boxes, unless a form was asked
 *                                                  for
 *   ["cell", "cell"]                               a row
 *   {"print": "text"}                              output
 *   {"next": ["list_queues", "-p", "/"]}           when this command has ended well, the client is
 *                                                  to run that one, and so on
 *   {"progress": "text"}                           how far it is, to be shown for a moment
 *   {"notice": "text"}                             output that only says what the exit code says
 *   {"value": {...}}                               output as JSON, where json was asked for
 *   {"ask": "Password: "}                          the client sends {"answer": "..."}, null: has
 *                                                  none
 *   {"show": "screen", "wait_ms": 5000}            in place of the last one; when that time is over
 *                                                  or a key was pressed, the client sends
 *                                                  {"answer": "40 120 key"}: rows and columns of
 *                                                  its terminal, 0 without one; null: nobody looks
 *   {"read": "path"}                               the client opens that file ("-": its standard
 *                                                  input) and sends {"answer": null}, or the name
 * of the error: "ENOENT"
 *   {"send": true}                                 now the client sends that file, as data, until
 * it is over or a line comes
 *   {"write": "path"}                              the same with a file (standard output) that the
 *                                                  client writes what data comes to; it counts with
 *                                                  exit 0 alone
 *   {"data": 4711}                                 that many bytes follow the line, of either side;
 *                                                  0 from the client: the file is over
 *   {"warning": "text"}                            text for stderr
 *   {"wait": 4711}                                 the command is done once that process is gone
 *   {"exit": 0} {"exit": 64, "error": "..."}       the end: sysexits code, text for stderr
 */
#ifndef BASE_CONTROL_H
#define BASE_CONTROL_H

enum {
    CONTROL_VERSION = 1,
    CONTROL_LINE_MAX = 256 * 1024, /* bytes of a line of the client */
    CONTROL_WORDS_MAX = 256,
    CONTROL_DATA_MAX = 64 * 1024, /* bytes behind a line of the client */
};

#endif
