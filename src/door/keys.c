/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sshd asks for each key that a client offers (AuthorizedKeysCommand): on record for whom? The
 * key is of somebody who has proved nothing yet: it goes to dvmd as it is, which reads it strictly.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "cleanup.h"
#include "door.h"
#include "parse.h"

#define PATIENCE (5 * USEC_PER_SEC)
#define TICKET_MAX 127

/* What may stand in the line, which sshd parses and a shell then reads. */
static bool plain(const char *text)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@+,=-[]";

	return text && text[0] && text[strspn(text, letters)] == '\0';
}

int door_keys(const struct door_place *place, const char *type, const char *key)
{
	_cleanup_(json_decrefp) json_t *answer = NULL;
	_cleanup_free_ char *self = realpath("/proc/self/exe", NULL);
	_cleanup_close_ int fd = -1;
	struct fault fault = { 0 };
	const char *ticket;
	int r = door_connect(place->socket, PATIENCE, &fd, &fault);

	if (r == 0) {
		r = door_call(fd, "door.key", json_pack("{s:s, s:s}", "type", type, "key", key),
			      &answer, &fault);
	}
	if (r == -EREMOTEIO && (fault.code == FAULT_NOT_FOUND || fault.code == FAULT_BAD_VALUE)) {
		return EXIT_SUCCESS; /* nobody's */
	}
	if (r < 0) {
		fprintf(stderr, "dvm-door: a key is not looked up: %s\n",
			fault.message[0] ? fault.message : strerror(-r));
		return EXIT_FAILURE;
	}
	ticket = json_string_value(json_object_get(answer, "ticket"));
	if (!plain(ticket) || strlen(ticket) > TICKET_MAX || !plain(self) || !plain(type) ||
	    !plain(key)) {
		fputs("dvm-door: dvmd's answer is not understood\n", stderr);
		return EXIT_FAILURE;
	}
	printf("restrict,pty,command=\"exec %s serve %s %s '%s' %s %s\" %s %s\n", self,
	       place->socket, place->dvm, place->url, place->pin, ticket, type, key);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
