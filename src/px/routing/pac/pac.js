// What a PAC script finds in its world: the functions of Mozilla's and Microsoft's documents
// (developer.mozilla.org "Proxy Auto-Configuration (PAC) file"; learn.microsoft.com "IPv6-Aware Proxy Helper
// API Definitions"), and the two entry points through which Px loads a script and calls it.
//
// No function here waits. Functions look a name's addresses up in a table. A name that is not there is noted and ends
// the call; Px resolves the name and calls again. The result of a call with such notes is discarded, as the script
// may have caught the exception.
//
// Both entry points take and return JSON and let no exception of a script out: reporting an exception to a Python
// program calls the script's own code, without a time limit.
(function (world) {
    "use strict";

    // Keep the originals: a script may replace these with its own.
    const { Array, Error, InternalError, Map, Number, Object, RegExp, Set, String, Symbol, parseInt } = world;
    const { parse, stringify } = world.JSON;
    const { max } = world.Math;
    const MAX_ANSWER_CHARS = 32768;
    const MAX_REASON_CHARS = 500;
    const MAX_ALERTS = 20;
    const MAX_MISSING = 100;
    const MAX_NAME_CHARS = 255;
    const MAX_KEPT = 20000;
    const MISSING = new Error("a name that is being looked up");
    const OUT_OF_MEMORY = '{"error":"InternalError: out of memory","stack":""}';
    const UNSHOWABLE = '{"error":"an exception that cannot be shown","stack":""}';

    let findProxy = null;
    let names = new Map();      // host -> its addresses; empty if it has no address
    let ownAddresses = [];
    let isLast = false;         // whether a host without an entry has no address
    let missing = [];
    let alerts = [];

    // Kept results

    const tidyings = []; // run before each call

    // Returns a function that keeps the results of another one. Nothing is dropped during a call:
    // otherwise a script that uses more values than are kept would find none of them in the next call. Values that
    // are new in each call are dropped after several calls.
    function remember(make) {
        const made = new Map();
        let before = 0;
        let mostAdded = 0;
        tidyings.push(() => {
            mostAdded = max(mostAdded, made.size - before);
            if (made.size > MAX_KEPT + mostAdded) made.clear();
            before = made.size;
        });
        return (value) => {
            let result = made.get(value);
            if (result === undefined) made.set(value, result = make(value));
            return result;
        };
    }

    // Addresses

    // The four numbers of an IPv4 address, or null. A number with a leading zero is octal to some programs and
    // decimal to others, so that a text with one names no address.
    function parseIPv4(text) {
        const parts = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/.exec(text);
        if (!parts) return null;
        const bytes = [+parts[1], +parts[2], +parts[3], +parts[4]];
        return bytes.every((byte) => byte <= 255) ? bytes : null;
    }

    // The sixteen numbers of an IPv6 address (RFC 4291 2.2), or null.
    function parseIPv6(text) {
        if (!text.includes(":") || !/^[\da-f:.]+(%[\w.-]+)?$/i.test(text)) return null;
        const halves = text.replace(/%.*/, "").split("::");
        if (halves.length > 2) return null;
        const [head, tail] = [parseGroups(halves[0], halves.length === 1), parseGroups(halves[1] || "", true)];
        if (!head || !tail) return null;
        const gap = 16 - head.length - tail.length;
        if (halves.length > 1 ? gap < 2 : gap !== 0) return null;
        return [...head, ...new Array(gap).fill(0), ...tail];
    }

    function parseGroups(text, mayEndInIPv4) {
        const bytes = [];
        const groups = text === "" ? [] : text.split(":");
        for (const [index, group] of groups.entries()) {
            const last = mayEndInIPv4 && index === groups.length - 1 ? parseIPv4(group) : null;
            if (last) bytes.push(...last);
            else if (/^[\da-f]{1,4}$/i.test(group)) bytes.push(parseInt(group, 16) >> 8, parseInt(group, 16) & 255);
            else return null;
        }
        return bytes;
    }

    function parseAddress(text) {
        return parseIPv4(text) || parseIPv6(text);
    }

    // IPv4 addresses as numbers: a script of a thousand rules asks for the same ones again and again.
    const toNumber = remember((text) => {
        const bytes = parseIPv4(text);
        return bytes === null ? null : bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
    });

    function isIPv4(text) {
        return toNumber(text) !== null;
    }

    // Rules pad their numbers with zeros, as in 255.255.255.000; browsers read these as decimal.
    function toRuleNumber(text) {
        const number = toNumber(text);
        return number === null ? toNumber(String(text).replace(/\b0+(?=\d)/g, "")) : number;
    }

    // All addresses of a host; empty if it has no address.
    function lookUp(host) {
        const addresses = names.get(host);
        if (addresses !== undefined) return addresses;
        if (typeof host !== "string" || host === "" || host.length > MAX_NAME_CHARS) return [];
        if (/[\ud800-\udfff]/.test(host)) return []; // not a name: half of a surrogate pair is no valid text in Python
        if (isIPv4(host) || parseIPv6(host)) return [host];
        if (isLast) return [];
        if (missing.length < MAX_MISSING && !missing.includes(host)) missing.push(host);
        throw MISSING;
    }

    // Names

    world.isPlainHostName = function isPlainHostName(host) {
        return !/[.:]/.test(host);
    };

    world.dnsDomainIs = function dnsDomainIs(host, domain) {
        return String(host).endsWith(domain);
    };

    world.localHostOrDomainIs = function localHostOrDomainIs(host, hostdom) {
        return host === hostdom || String(hostdom).startsWith(host + ".");
    };

    world.dnsDomainLevels = function dnsDomainLevels(host) {
        return String(host).split(".").length - 1;
    };

    // Shell patterns, as in Chromium and Firefox: a pattern is a regular expression in which a dot means
    // itself, "*" any text and "?" any character. Everything else keeps its meaning, and scripts rely on that: "(a|b)",
    // "[a-z]", "[^a-z]"; and "a|b" matches a text that begins with a or ends in b.

    const findMatcher = remember((pattern) => makeMatcher(String(pattern))); // a function that matches a text
    const WILDCARDS = { ".": "\\.", "?": "." };

    world.shExpMatch = function shExpMatch(text, pattern) {
        return findMatcher(pattern)(String(text));
    };

    // Most patterns are a literal with a star before, behind or around it; they need no regular expression.
    function makeMatcher(pattern) {
        const [, before, literal, behind] = /^(\**)([^*?()[\]|+^${}\\]*)(\**)$/.exec(pattern) || [];
        if (literal === undefined) return makePatternMatcher(pattern);
        if (before + behind === "") return (text) => text === literal;
        if (literal === "") return isLine;
        if (before && behind) return (text) => text.includes(literal) && isLine(text);
        if (before) return (text) => text.endsWith(literal) && isLine(text);
        return (text) => text.startsWith(literal) && isLine(text);
    }

    // Whether the wildcards match a text: they match no line break.
    function isLine(text) {
        return !/[\n\r\u2028\u2029]/.test(text);
    }

    function makePatternMatcher(pattern) {
        let expression;
        try {
            expression = new RegExp(toSource(pattern));
        } catch (error) { // in browsers the script fails; here the wildcards alone keep their meaning
            expression = new RegExp(toSource(pattern.replace(/[+^${}\\\/()[\]|]/g, "\\$&")));
        }
        return (text) => expression.test(text);
    }

    function toSource(pattern) {
        return "^" + pattern.replace(/\*+|[.?]/g, (sign) => WILDCARDS[sign] || ".*") + "$";
    }

    // Look-ups: the older functions know IPv4 only

    function findIPv4(host) {
        const found = lookUp(host).find(isIPv4);
        return found === undefined ? null : found;
    }

    world.dnsResolve = function dnsResolve(host) {
        return findIPv4(host);
    };

    world.isResolvable = function isResolvable(host) {
        return findIPv4(host) !== null;
    };

    world.isInNet = function isInNet(host, pattern, mask) {
        const network = toRuleNumber(pattern);
        const bits = toRuleNumber(mask);
        if (network === null || bits === null) return false;
        const found = findIPv4(host);
        return found !== null && (toNumber(found) & bits) === (network & bits);
    };

    world.convert_addr = function convert_addr(address) {
        const [a, b, c, d] = String(address).split(".");
        return ((a & 255) << 24) | ((b & 255) << 16) | ((c & 255) << 8) | (d & 255);
    };

    world.isValidIpAddress = function isValidIpAddress(text) {
        return isIPv4(text);
    };

    world.myIpAddress = function myIpAddress() {
        return ownAddresses.find(isIPv4) || ownAddresses[0] || "127.0.0.1";
    };

    world.dnsResolveEx = function dnsResolveEx(host) {
        return lookUp(host).join(";");
    };

    world.isResolvableEx = function isResolvableEx(host) {
        return lookUp(host).length > 0;
    };

    // One address, several with semicolons between, or a name.
    world.isInNetEx = function isInNetEx(host, prefix) {
        const [, base, digits] = /^([\da-f:.]+)\/(\d{1,3})$/i.exec(String(prefix).trim()) || [];
        const network = base === undefined ? null : parseAddress(base);
        if (!network || +digits > network.length * 8) return false;
        const addresses = String(host).split(";").flatMap((each) => lookUp(each.trim()));
        return addresses.some((each) => startsAlike(parseAddress(each), network, +digits));
    };

    function startsAlike(address, network, length) {
        return address !== null && address.length === network.length && address.every((byte, i) => {
            const mask = 255 << (8 - Math.min(8, Math.max(0, length - 8 * i))) & 255;
            return (byte & mask) === (network[i] & mask);
        });
    }

    world.myIpAddressEx = function myIpAddressEx() {
        return ownAddresses.join(";");
    };

    // IPv6 first, each kind by number; the empty text where one is no address.
    world.sortIpAddressList = function sortIpAddressList(list) {
        const texts = String(list).split(";").map((each) => each.trim()).filter((each) => each !== "");
        const addresses = texts.map((text) => ({ text, bytes: parseAddress(text) }));
        if (addresses.some(({ bytes }) => bytes === null)) return "";
        return addresses.sort((a, b) => compareAddresses(a.bytes, b.bytes)).map(({ text }) => text).join(";");
    };

    function compareAddresses(a, b) {
        if (a.length !== b.length) return b.length - a.length;
        const i = a.findIndex((byte, index) => byte !== b[index]);
        return i < 0 ? 0 : a[i] - b[i];
    }

    world.getClientVersion = function getClientVersion() {
        return "1.0";
    };

    world.alert = function alert(...texts) {
        if (alerts.length < MAX_ALERTS) alerts.push(texts.map(String).join(" ").slice(0, MAX_REASON_CHARS));
    };

    // Scripts that were tried out in a browser may still write to its console.
    const SILENT = "assert clear count countReset group groupCollapsed groupEnd table time timeEnd timeLog";
    world.console = {};
    for (const name of "debug dir error info log trace warn".split(" ")) world.console[name] = world.alert;
    for (const name of SILENT.split(" ")) world.console[name] = function () {};

    // Times. `Date` is looked up when it is needed: a script may have put its own there, as in browsers.

    const WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    const MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

    // Arguments without the "GMT" that may end them, and how to ask a Date: getHours or getUTCHours.
    function splitZone(args) {
        const isGMT = args.length > 0 && String(args[args.length - 1]).toUpperCase() === "GMT";
        const now = new world.Date();
        return [isGMT ? args.slice(0, -1) : args, (field) => now["get" + (isGMT ? "UTC" : "") + field]()];
    }

    function compare(a, b) {
        const i = a.findIndex((number, index) => number !== b[index]);
        return i < 0 ? 0 : a[i] - b[i];
    }

    // Whether now is from start to end, both included; a range that ends before it starts goes round.
    function isBetween(start, now, end) {
        const [isAfter, isBefore] = [compare(start, now) <= 0, compare(now, end) <= 0];
        return compare(start, end) <= 0 ? isAfter && isBefore : isAfter || isBefore;
    }

    world.weekdayRange = function weekdayRange(...args) {
        const [texts, get] = splitZone(args);
        const days = texts.filter((each) => each !== undefined)
            .map((each) => WEEKDAYS.indexOf(String(each).toUpperCase()));
        if (days.length < 1 || days.length > 2 || days.includes(-1)) return false;
        return isBetween([days[0]], [get("Day")], [days[days.length - 1]]);
    };

    // timeRange(hour), (hour, hour), (hour, minute, hour, minute), (h, m, s, h, m, s). The last hour, minute and
    // second belong to the range.
    world.timeRange = function timeRange(...args) {
        const [texts, get] = splitZone(args);
        const numbers = texts.map(Number);
        if (![1, 2, 4, 6].includes(numbers.length) || numbers.some(Number.isNaN)) return false;
        const half = Math.ceil(numbers.length / 2);
        const now = ["Hours", "Minutes", "Seconds"].slice(0, half).map(get);
        return isBetween(numbers.slice(0, half), now, numbers.slice(-half));
    };

    // A date or two of a kind: any of day, month and year, in any order.
    world.dateRange = function dateRange(...args) {
        const [texts, get] = splitZone(args);
        const parts = texts.map(parseDatePart);
        if (parts.length < 1 || parts.includes(null)) return false;
        const kinds = parts.map(({ kind }) => kind);
        const half = kinds.length / 2;
        const isRange = Number.isInteger(half) && kinds.slice(0, half).join() === kinds.slice(half).join();
        const [start, end] = isRange ? [parts.slice(0, half), parts.slice(half)] : [parts, parts];
        if (new Set(start.map(({ kind }) => kind)).size < start.length) return false;
        const order = start.map(({ kind }) => kind).sort();
        const toNumbers = (date) => order.map((wanted) => date.find(({ kind }) => kind === wanted).number);
        return isBetween(toNumbers(start), order.map((kind) => get(DATE_FIELDS[kind])), toNumbers(end));
    };

    // The kinds sort as dates do: the year counts most.
    const DATE_FIELDS = { "1 year": "FullYear", "2 month": "Month", "3 day": "Date" };

    function parseDatePart(text) {
        const month = MONTHS.indexOf(String(text).toUpperCase());
        if (month >= 0) return { kind: "2 month", number: month };
        const number = Number(text);
        if (!Number.isInteger(number) || number < 1) return null;
        return { kind: number > 31 ? "1 year" : "3 day", number };
    }

    // The entry points

    function guard(work) {
        return function (text) {
            try {
                const result = work(parse(text));
                return typeof result === "string" ? result : UNSHOWABLE;
            } catch (error) {
                try {
                    const result = missing.length ? tellMissing(error !== MISSING) : report(error);
                    return typeof result === "string" ? result : UNSHOWABLE;
                } catch (again) {
                    return UNSHOWABLE;
                }
            }
        };
    }

    // A script that caught the exception may have kept a wrong result.
    function tellMissing(isTainted) {
        return stringify({ missing, is_tainted: isTainted });
    }

    function report(error) {
        if (error === null) return OUT_OF_MEMORY; // thrown when there is no memory for an error object
        const stack = typeof error === "object" ? String(error.stack) : "";
        const reason = String(error).replace(/: ''$/, " at the end of the script"); // the token that is not there
        return stringify({ error: reason.slice(0, MAX_REASON_CHARS), stack: stack.slice(0, 5000) });
    }

    // The functions of a strict script are invisible from outside, so the script has to return them itself.
    const HAND_OVER = "\n;[typeof FindProxyForURLEx === 'function' ? FindProxyForURLEx : null,"
        + " typeof FindProxyForURL === 'function' ? FindProxyForURL : null]";
    const evaluate = world.eval;

    function begin(request) {
        names = new Map(request.names);
        ownAddresses = request.own_addresses;
        isLast = request.is_last;
        missing = [];
        alerts = [];
        for (let i = 0; i < tidyings.length; i++) tidyings[i]();
    }

    const load = guard((request) => {
        begin(request);
        const [extended, plain] = evaluate(request.script + HAND_OVER);
        if (missing.length) return tellMissing(true);
        findProxy = extended || plain;
        return findProxy ? "{}" : stringify({ error: "it has no function FindProxyForURL", stack: "" });
    });

    const find = guard((request) => {
        begin(request);
        const answer = findProxy(request.url, request.host);
        if (missing.length) return tellMissing(true);
        if (answer === null || answer === undefined) return stringify({ answer: "", alerts });
        if (typeof answer !== "string") return stringify({ error: "its answer is no text but of type " + typeof answer });
        if (answer.length > MAX_ANSWER_CHARS) return stringify({ error: "its answer is too long" });
        return stringify({ answer, alerts });
    });

    // Neither a script nor the entry points can catch the exceptions of the limits. The code that Python calls for
    // such an exception must not be the script's.
    const limit = InternalError.prototype;
    const { get: getStack } = Object.getOwnPropertyDescriptor(Error.prototype, "stack");
    const tell = function () { return "InternalError: " + this.message; };
    Object.defineProperty(limit, "stack", { get: getStack });
    Object.defineProperty(limit, "toString", { value: tell });
    Object.defineProperty(limit, Symbol.toPrimitive, { value: tell });
    Object.freeze(limit);
    Object.defineProperty(Error, "prepareStackTrace", { value: undefined, configurable: false });
    Object.defineProperty(Error, "stackTraceLimit", { value: 10, configurable: false });
    // A thread that waits in this world would wait for ever.
    delete world.Atomics;
    delete world.SharedArrayBuffer;

    world.px_load = load;
    world.px_find = find;
})(globalThis);
