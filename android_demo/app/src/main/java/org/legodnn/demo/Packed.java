package org.legodnn.demo;

import android.content.Context;
import android.content.res.AssetManager;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.legodnn.Assets;
import org.legodnn.Profile;
import org.legodnn.Store;

/** What is packed in the APK: assets/stores/NAME, assets/profiles/NAME.profile.json, assets/digits.bin. */
final class Packed {
    private static final String PROFILE = ".profile.json";

    private final Context context;
    private final AssetManager assets;

    Packed(Context context) {
        this.context = context;
        this.assets = context.getAssets();
    }

    /** The models' names, in alphabetical order. */
    List<String> models() throws IOException {
        List<String> names = new ArrayList<>();
        for (String file : assets.list("profiles")) {
            if (file.endsWith(PROFILE)) {
                names.add(file.substring(0, file.length() - PROFILE.length()));
            }
        }
        Collections.sort(names);
        return names;
    }

    /** A store, unpacked once. */
    Store store(String name) {
        return Assets.open(assets, "stores/" + name, new File(context.getNoBackupFilesDir(), "stores/" + name));
    }

    /** The profile measured where the store was packed. */
    Profile profile(String name) throws IOException {
        return Profile.parse(text("profiles/" + name + PROFILE));
    }

    Digits digits() throws IOException {
        try (InputStream stream = assets.open("digits.bin")) {
            return Digits.read(stream);
        }
    }

    private String text(String path) throws IOException {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        byte[] buffer = new byte[1 << 16];
        try (InputStream stream = assets.open(path)) {
            for (int read = stream.read(buffer); read >= 0; read = stream.read(buffer)) {
                content.write(buffer, 0, read);
            }
        }
        return new String(content.toByteArray(), "UTF-8");
    }
}
