package org.legodnn.internal.json;

/** A text is no JSON, or a document is not what it should be. The message says where and what. */
public final class JsonException extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** @param message where and what */
    public JsonException(String message) {
        super(message);
    }
}
