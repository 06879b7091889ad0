package org.legodnn;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

import org.legodnn.internal.json.Bounds;
import org.legodnn.internal.json.Json;
import org.legodnn.internal.json.JsonException;
import org.legodnn.internal.json.JsonNumber;
import org.legodnn.internal.json.JsonObject;

/**
 * What stores, profiles, workloads and plans share: reading documents, writing so that a crash leaves old or new, and
 * hashing.
 */
final class Documents {
    private Documents() {}

    /** What a hash is made of; files go through it piece by piece. */
    static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every Java platform has SHA-256", e);
        }
    }

    static String hex(byte[] digest) {
        StringBuilder text = new StringBuilder();
        for (byte b : digest) {
            text.append(Character.forDigit(b >> 4 & 15, 16)).append(Character.forDigit(b & 15, 16));
        }
        return text.toString();
    }

    /** Hex SHA-256 of a file's content. */
    static String sha256(File file) throws IOException {
        MessageDigest digest = sha256();
        byte[] chunk = new byte[1 << 16];
        try (InputStream in = new FileInputStream(file)) {
            for (int n = in.read(chunk); n >= 0; n = in.read(chunk)) {
                digest.update(chunk, 0, n);
            }
        }
        return hex(digest.digest());
    }

    /** A regular file's content; others are never opened, for a pipe would be waited for. */
    static byte[] read(File file) throws IOException {
        if (!file.isFile()) {
            throw new IOException(file.exists() ? "it is no regular file" : "there is no such file");
        }
        if (file.length() > Bounds.DOCUMENT) {
            throw new IOException(
                    "it has " + file.length() + " bytes, at most " + Bounds.DOCUMENT + " are read");
        }
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        byte[] chunk = new byte[1 << 16];
        try (InputStream in = new FileInputStream(file)) {
            for (int n = in.read(chunk); n >= 0; n = in.read(chunk)) {
                content.write(chunk, 0, n);
            }
        }
        return content.toByteArray();
    }

    /** Text of UTF-8 bytes; nothing is replaced. */
    static String utf8(byte[] content) throws CharacterCodingException {
        return StandardCharsets.UTF_8.newDecoder().onMalformedInput(CodingErrorAction.REPORT)
                .onUnmappableCharacter(CodingErrorAction.REPORT).decode(ByteBuffer.wrap(content)).toString();
    }

    /**
     * The object that a document is.
     *
     * @throws JsonException no JSON, or of another version
     */
    static JsonObject parse(String text, String version) {
        Object document;
        try {
            document = Json.parse(text);
        } catch (JsonException e) {
            throw new JsonException("it is not JSON (" + e.getMessage() + ")");
        }
        Object found = document instanceof JsonObject ? ((JsonObject) document).get("schema") : null;
        if (!version.equals(found)) {
            String shown = found instanceof String || found instanceof JsonNumber ? "'" + found + "'" : "none";
            shown = shown.length() > 60 ? shown.substring(0, 60) : shown;
            throw new JsonException("its schema is " + shown + ", this version of legodnn reads '" + version + "'");
        }
        return (JsonObject) document;
    }

    /** Replace a file's content: a temporary file beside it, synced, renamed. */
    static void writeAtomic(File file, String content) throws IOException {
        File folder = file.getAbsoluteFile().getParentFile();
        if (!folder.isDirectory() && !folder.mkdirs() && !folder.isDirectory()) {
            throw new IOException("cannot make the folder " + folder);
        }
        File temporary = File.createTempFile("." + file.getName() + ".", ".tmp", folder);
        boolean done = false;
        try {
            try (FileOutputStream out = new FileOutputStream(temporary)) {
                out.write(content.getBytes(StandardCharsets.UTF_8));
                out.getFD().sync();
            }
            done = temporary.renameTo(file);
            if (!done) {
                throw new IOException("cannot replace " + file);
            }
        } finally {
            if (!done) {
                temporary.delete();
            }
        }
    }
}
