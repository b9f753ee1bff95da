/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line reads and prints: tables, times, event streams, recordings, quoting,
 * configuration. */
#include <errno.h>
#include <locale.h>
#include <string.h>

#include "cast.h"
#include "cleanup.h"
#include "config.h"
#include "rest.h"
#include "sse.h"
#include "ssh_options.h"
#include "table.h"
#include "test.h"
#include "view.h"

static void columns_align(void **state)
{
	static const char *const headers[] = { "NAME", "STATE", NULL };
	_cleanup_free_ char *text = NULL;
	struct table *t;
	size_t len;
	FILE *f;

	assert_int_equal(table_new(headers, &t), 0);
	assert_int_equal(table_row(t, (const char *const[]){ "patient", "running" }), 0);
	assert_int_equal(table_row(t, (const char *const[]){ "größe", NULL }), 0);
	assert_int_equal(table_row(t, (const char *const[]){ "evil\033[2J\n", "" }), 0);
	f = open_memstream(&text, &len);
	table_print(t, f, false);
	fclose(f);
	table_free(t);
	assert_string_equal(text, "NAME       STATE\n"
				  "patient    running\n"
				  "größe      -\n"
				  "evil?[2J?  -\n");
}

static void an_empty_table_prints_nothing(void **state)
{
	static const char *const headers[] = { "NAME", NULL };
	_cleanup_free_ char *text = NULL;
	struct table *t;
	size_t len;
	FILE *f;

	assert_int_equal(table_new(headers, &t), 0);
	f = open_memstream(&text, &len);
	table_print(t, f, true);
	fclose(f);
	table_free(t);
	assert_int_equal(len, 0);
}

static void times_are_read(void **state)
{
	usec_t at;

	assert_int_equal(view_parse_time("1970-01-01T00:00:01.250Z", &at), 0);
	assert_int_equal(at, 1250000);
	assert_int_equal(view_parse_time("2026-11-23T09:13:00Z", &at), 0);
	assert_int_equal(at, 1795425180ULL * USEC_PER_SEC);
	assert_int_equal(view_parse_time("2026-11-23 09:13:00Z", &at), -EINVAL);
	assert_int_equal(view_parse_time("2026-11-23T09:13:00+01:00", &at), -EINVAL);
	assert_int_equal(view_parse_time(NULL, &at), -EINVAL);
}

static void durations_are_short(void **state)
{
	static const struct {
		uint64_t s;
		const char *text;
	} cases[] = {
		{ 0, "0s" }, { 59, "59s" }, { 725, "12m05s" }, { 3600, "1h00m" }, { 190800, "2d5h" }
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = view_duration(cases[i].s);

		assert_string_equal(text, cases[i].text);
	}
}

static int note_event(const char *type, const char *id, const char *data, void *user)
{
	char *notes = user;

	sprintf(notes + strlen(notes), "[%s|%s|%s]", type, id, data);
	return strcmp(data, "stop") == 0 ? 7 : 0;
}

static void events_come_in_any_pieces(void **state)
{
	static const char stream[] =
		": hello\n\nid: 41\nevent: session.state\ndata: {\"a\":1}\r\n\r\n"
		"data: one\ndata: two\n\nevent: lost\n\nid: 42\ndata:stop\n\ndata: never\n\n";
	static const char want[] =
		"[session.state|41|{\"a\":1}][message|41|one\ntwo][message|42|stop]";

	for (size_t piece = 1; piece < sizeof(stream); piece++) {
		char notes[512] = "";
		struct sse s;
		int r = 0;

		sse_init(&s, note_event, notes);
		for (size_t i = 0; i < sizeof(stream) - 1 && r == 0; i += piece) {
			r = sse_input(&s, stream + i, MIN(piece, sizeof(stream) - 1 - i));
		}
		sse_fini(&s);
		assert_int_equal(r, 7);
		assert_string_equal(notes, want);
	}
}

static void an_event_has_a_maximum(void **state)
{
	static char line[65536];
	struct sse s;
	int r = 0;

	memset(line, 'x', sizeof(line));
	sse_init(&s, note_event, NULL);
	for (size_t i = 0; i <= SSE_EVENT_MAX && r == 0; i += sizeof(line)) {
		r = sse_input(&s, line, sizeof(line));
	}
	sse_fini(&s);
	assert_int_equal(r, -EMSGSIZE);
}

static void recordings_are_read(void **state)
{
	static const char header[] =
		"{\"version\": 2, \"width\": 80, \"height\": 24, \"timestamp\": 1}";
	static const char event[] = "[1.5, \"o\", \"a\\u0000b\"]";
	static const char *const bad[] = { "",
					   "[",
					   "[1, \"o\"]",
					   "[-1, \"o\", \"x\"]",
					   "[1, \"out\", \"x\"]",
					   "{\"version\": 2}" };
	unsigned columns, rows;
	struct cast_event e;

	assert_int_equal(cast_header(header, strlen(header), &columns, &rows), 0);
	assert_int_equal(columns, 80);
	assert_int_equal(rows, 24);
	assert_int_equal(cast_header("{\"version\": 1}", 14, &columns, &rows), -EPROTO);
	assert_int_equal(cast_event(event, strlen(event), &e), 0);
	assert_int_equal(e.at, 1500000);
	assert_int_equal(e.type, 'o');
	assert_int_equal(e.text_len, 3);
	cast_event_fini(&e);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(cast_event(bad[i], strlen(bad[i]), &e), -EPROTO);
	}
}

static void paths_are_quoted_for_ssh(void **state)
{
	_cleanup_free_ char *shell = ssh_quote_shell("/a b/it's 100%/dvm");
	_cleanup_free_ char *words = ssh_quote_words("/a b/\"q\" 100%/dvm");

	assert_string_equal(shell, "'/a b/it'\\''s 100%%/dvm'");
	assert_string_equal(words, "\"/a b/\\\"q\\\" 100%%/dvm\"");
}

static void paths_are_encoded_for_http(void **state)
{
	_cleanup_free_ char *path = rest_path("/v1/vms/%s/actions?x=%s", "../a b", "é~");

	assert_string_equal(path, "/v1/vms/..%2Fa%20b/actions?x=%C3%A9~");
}

static void only_this_machine_is_local(void **state)
{
	struct fault fault;

	assert_true(config_url_is_local("https://127.0.0.1:1"));
	assert_true(config_url_is_local("https://localhost"));
	assert_true(config_url_is_local("http://[::1]:80/x"));
	assert_false(config_url_is_local("http://127.example.org"));
	assert_false(config_url_is_local("http://localhost.example.org"));
	assert_int_equal(config_check_url("https://example.org:8443", &fault), 0);
	assert_int_equal(config_check_url("http://127.0.0.1:80", &fault), 0);
	/* A token does not go over the network in the clear. */
	assert_int_equal(config_check_url("http://example.org", &fault), -EREMOTEIO);
	assert_int_equal(config_check_url("https://", &fault), -EREMOTEIO);
	assert_int_equal(config_check_url("https://user@example.org", &fault), -EREMOTEIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_align),
		cmocka_unit_test(an_empty_table_prints_nothing),
		cmocka_unit_test(times_are_read),
		cmocka_unit_test(durations_are_short),
		cmocka_unit_test(events_come_in_any_pieces),
		cmocka_unit_test(an_event_has_a_maximum),
		cmocka_unit_test(recordings_are_read),
		cmocka_unit_test(paths_are_quoted_for_ssh),
		cmocka_unit_test(paths_are_encoded_for_http),
		cmocka_unit_test(only_this_machine_is_local),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
