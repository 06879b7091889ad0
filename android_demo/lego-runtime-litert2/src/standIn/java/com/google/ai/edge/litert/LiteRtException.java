package com.google.ai.edge.litert;

/** Stands in for LiteRT's. */
public final class LiteRtException extends Exception {
    private static final long serialVersionUID = 1;

    public LiteRtException(String message) {
        super(message);
    }
}
