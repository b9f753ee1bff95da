/* SPDX-License-Identifier: Apache-2.0 */
/* Keys by name. See keys.h. */
#include "keys.h"

#include <errno.h>
#include <linux/input-event-codes.h>
#include <string.h>
#include <strings.h>

#define NAME_LEN_MAX 16

static const struct {
	const char *name;
	unsigned code;
} names[] = {
	/* clang-format off */
	{ "a", KEY_A }, { "b", KEY_B }, { "c", KEY_C }, { "d", KEY_D }, { "e", KEY_E }, { "f", KEY_F },
	{ "g", KEY_G }, { "h", KEY_H }, { "i", KEY_I }, { "j", KEY_J }, { "k", KEY_K }, { "l", KEY_L },
	{ "m", KEY_M }, { "n", KEY_N }, { "o", KEY_O }, { "p", KEY_P }, { "q", KEY_Q }, { "r", KEY_R },
	{ "s", KEY_S }, { "t", KEY_T }, { "u", KEY_U }, { "v", KEY_V }, { "w", KEY_W }, { "x", KEY_X },
	{ "y", KEY_Y }, { "z", KEY_Z },
	{ "0", KEY_0 }, { "1", KEY_1 }, { "2", KEY_2 }, { "3", KEY_3 }, { "4", KEY_4 }, { "5", KEY_5 },
	{ "6", KEY_6 }, { "7", KEY_7 }, { "8", KEY_8 }, { "9", KEY_9 },
	{ "f1", KEY_F1 }, { "f2", KEY_F2 }, { "f3", KEY_F3 }, { "f4", KEY_F4 }, { "f5", KEY_F5 },
	{ "f6", KEY_F6 }, { "f7", KEY_F7 }, { "f8", KEY_F8 }, { "f9", KEY_F9 }, { "f10", KEY_F10 },
	{ "f11", KEY_F11 }, { "f12", KEY_F12 }, { "f13", KEY_F13 }, { "f14", KEY_F14 }, { "f15", KEY_F15 },
	{ "f16", KEY_F16 }, { "f17", KEY_F17 }, { "f18", KEY_F18 }, { "f19", KEY_F19 }, { "f20", KEY_F20 },
	{ "f21", KEY_F21 }, { "f22", KEY_F22 }, { "f23", KEY_F23 }, { "f24", KEY_F24 },

	{ "leftctrl", KEY_LEFTCTRL }, { "ctrl", KEY_LEFTCTRL }, { "control", KEY_LEFTCTRL },
	{ "leftalt", KEY_LEFTALT }, { "alt", KEY_LEFTALT },
	{ "leftshift", KEY_LEFTSHIFT }, { "shift", KEY_LEFTSHIFT },
	{ "leftmeta", KEY_LEFTMETA }, { "meta", KEY_LEFTMETA }, { "super", KEY_LEFTMETA }, { "win", KEY_LEFTMETA },
	{ "rightctrl", KEY_RIGHTCTRL }, { "rightshift", KEY_RIGHTSHIFT }, { "rightmeta", KEY_RIGHTMETA },
	{ "rightalt", KEY_RIGHTALT }, { "altgr", KEY_RIGHTALT },

	{ "sysrq", KEY_SYSRQ }, { "print", KEY_SYSRQ },
	{ "pause", KEY_PAUSE }, { "break", KEY_PAUSE },
	{ "esc", KEY_ESC }, { "escape", KEY_ESC },
	{ "enter", KEY_ENTER }, { "return", KEY_ENTER }, { "ret", KEY_ENTER },
	{ "tab", KEY_TAB }, { "space", KEY_SPACE }, { "backspace", KEY_BACKSPACE },
	{ "delete", KEY_DELETE }, { "del", KEY_DELETE }, { "insert", KEY_INSERT }, { "ins", KEY_INSERT },
	{ "home", KEY_HOME }, { "end", KEY_END },
	{ "pageup", KEY_PAGEUP }, { "pgup", KEY_PAGEUP }, { "pagedown", KEY_PAGEDOWN }, { "pgdn", KEY_PAGEDOWN },
	{ "up", KEY_UP }, { "down", KEY_DOWN }, { "left", KEY_LEFT }, { "right", KEY_RIGHT },
	{ "capslock", KEY_CAPSLOCK }, { "numlock", KEY_NUMLOCK }, { "scrolllock", KEY_SCROLLLOCK },
	{ "compose", KEY_COMPOSE }, { "menu", KEY_COMPOSE },

	{ "minus", KEY_MINUS }, { "equal", KEY_EQUAL }, { "leftbrace", KEY_LEFTBRACE },
	{ "rightbrace", KEY_RIGHTBRACE }, { "semicolon", KEY_SEMICOLON }, { "apostrophe", KEY_APOSTROPHE },
	{ "grave", KEY_GRAVE }, { "backslash", KEY_BACKSLASH }, { "comma", KEY_COMMA }, { "dot", KEY_DOT },
	{ "slash", KEY_SLASH }, { "102nd", KEY_102ND },

	{ "kp0", KEY_KP0 }, { "kp1", KEY_KP1 }, { "kp2", KEY_KP2 }, { "kp3", KEY_KP3 }, { "kp4", KEY_KP4 },
	{ "kp5", KEY_KP5 }, { "kp6", KEY_KP6 }, { "kp7", KEY_KP7 }, { "kp8", KEY_KP8 }, { "kp9", KEY_KP9 },
	{ "kpasterisk", KEY_KPASTERISK }, { "kpdot", KEY_KPDOT }, { "kpenter", KEY_KPENTER },
	{ "kpminus", KEY_KPMINUS }, { "kpplus", KEY_KPPLUS }, { "kpslash", KEY_KPSLASH },
	{ "power", KEY_POWER }, { "sleep", KEY_SLEEP }, { "wakeup", KEY_WAKEUP },
	/* clang-format on */
};

/* What a US keyboard types, by the key: without shift and with it. */
static const struct {
	unsigned code;
	char plain, shifted;
} typed[] = {
	/* clang-format off */
	{ KEY_A, 'a', 'A' }, { KEY_B, 'b', 'B' }, { KEY_C, 'c', 'C' }, { KEY_D, 'd', 'D' }, { KEY_E, 'e', 'E' },
	{ KEY_F, 'f', 'F' }, { KEY_G, 'g', 'G' }, { KEY_H, 'h', 'H' }, { KEY_I, 'i', 'I' }, { KEY_J, 'j', 'J' },
	{ KEY_K, 'k', 'K' }, { KEY_L, 'l', 'L' }, { KEY_M, 'm', 'M' }, { KEY_N, 'n', 'N' }, { KEY_O, 'o', 'O' },
	{ KEY_P, 'p', 'P' }, { KEY_Q, 'q', 'Q' }, { KEY_R, 'r', 'R' }, { KEY_S, 's', 'S' }, { KEY_T, 't', 'T' },
	{ KEY_U, 'u', 'U' }, { KEY_V, 'v', 'V' }, { KEY_W, 'w', 'W' }, { KEY_X, 'x', 'X' }, { KEY_Y, 'y', 'Y' },
	{ KEY_Z, 'z', 'Z' },
	{ KEY_1, '1', '!' }, { KEY_2, '2', '@' }, { KEY_3, '3', '#' }, { KEY_4, '4', '$' }, { KEY_5, '5', '%' },
	{ KEY_6, '6', '^' }, { KEY_7, '7', '&' }, { KEY_8, '8', '*' }, { KEY_9, '9', '(' }, { KEY_0, '0', ')' },
	{ KEY_MINUS, '-', '_' }, { KEY_EQUAL, '=', '+' }, { KEY_LEFTBRACE, '[', '{' },
	{ KEY_RIGHTBRACE, ']', '}' }, { KEY_SEMICOLON, ';', ':' }, { KEY_APOSTROPHE, '\'', '"' },
	{ KEY_GRAVE, '`', '~' }, { KEY_BACKSLASH, '\\', '|' }, { KEY_COMMA, ',', '<' }, { KEY_DOT, '.', '>' },
	{ KEY_SLASH, '/', '?' }, { KEY_SPACE, ' ', ' ' },
	/* clang-format on */
};

static int code_find(const char *name, size_t len, unsigned *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strlen(names[i].name) == len && strncasecmp(names[i].name, name, len) == 0) {
			*ret = names[i].code;
			return 0;
		}
	}
	return -EINVAL;
}

int chord_parse(const char *text, struct chord *ret)
{
	struct chord chord = { .n = 0 };

	for (;;) {
		size_t len = strcspn(text, "-+");
		unsigned code;

		if (chord.n == CHORD_CODES_MAX || len > NAME_LEN_MAX ||
		    code_find(text, len, &code) < 0) {
			return -EINVAL;
		}
		for (size_t i = 0; i < chord.n; i++) {
			if (chord.codes[i] == code) {
				return -EINVAL;
			}
		}
		chord.codes[chord.n++] = code;
		if (text[len] == '\0') {
			break;
		}
		text += len + 1;
	}
	*ret = chord;
	return 0;
}

int chord_of_char(char c, struct chord *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(typed); i++) {
		if (typed[i].plain == c) {
			*ret = (struct chord){ .codes = { typed[i].code }, .n = 1 };
			return 0;
		}
		if (typed[i].shifted == c) {
			*ret = (struct chord){ .codes = { KEY_LEFTSHIFT, typed[i].code }, .n = 2 };
			return 0;
		}
	}
	return -EINVAL;
}
