/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets of logins over SSH: what was sealed is read again, and nothing else. */
#include "door_ticket.h"

#include <errno.h>
#include <string.h>

#include "test.h"

static const uint8_t secret[DOOR_SECRET_BYTES] = { 1, 2, 3 },
		     other[DOOR_SECRET_BYTES] = { 1, 2, 4 };

static void is_read_again(void **state)
{
	char text[DOOR_TICKET_MAX], again[DOOR_TICKET_MAX];
	struct door_ticket t;

	door_ticket_make(secret, "k-7m2x9qkd1234", 1234567890123, text);
	assert_int_equal(door_ticket_read(secret, text, &t), 0);
	assert_string_equal(t.key, "k-7m2x9qkd1234");
	assert_int_equal(t.expires, 1234567890123);
	assert_int_equal(strlen(t.nonce), DOOR_NONCE_LEN);
	assert_int_equal(door_ticket_read(other, text, &t), -EBADMSG);
	door_ticket_make(secret, "k-7m2x9qkd1234", 1234567890123, again);
	assert_string_not_equal(text, again);
	/* A shell and sshd read it. */
	assert_int_equal(strspn(text,
				"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				"._-"),
			 strlen(text));
}

static void nothing_else_is_read(void **state)
{
	char text[DOOR_TICKET_MAX], changed[DOOR_TICKET_MAX * 2];
	struct door_ticket t;
	size_t len;

	door_ticket_make(secret, "k-7m2x9qkd1234", 5, text);
	len = strlen(text);
	for (size_t i = 0; i < len; i++) {
		strcpy(changed, text);
		changed[i] = text[i] == 'A' ? 'B' : 'A';
		assert_int_equal(door_ticket_read(secret, changed, &t), -EBADMSG);
		strcpy(changed, text);
		changed[i] = '\0';
		assert_int_equal(door_ticket_read(secret, changed, &t), -EBADMSG);
		strcpy(changed, text);
		changed[i] = '.';
		assert_int_equal(door_ticket_read(secret, changed, &t),
				 text[i] == '.' ? 0 : -EBADMSG);
	}
	strcat(strcpy(changed, text), "A");
	assert_int_equal(door_ticket_read(secret, changed, &t), -EBADMSG);
	memset(changed, 'A', sizeof(changed) - 1);
	changed[sizeof(changed) - 1] = '\0';
	assert_int_equal(door_ticket_read(secret, changed, &t), -EBADMSG);
	assert_int_equal(door_ticket_read(secret, "", &t), -EBADMSG);
	assert_int_equal(door_ticket_read(secret, "...", &t), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_read_again),
		cmocka_unit_test(nothing_else_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
