import java.io.File;
import java.lang.reflect.AnnotatedType;
import java.lang.reflect.Constructor;
import java.lang.reflect.Executable;
import java.lang.reflect.Field;
import java.lang.reflect.Member;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.NullMarked;

/**
 * Prints all that a library offers to applications, sorted: `java -cp CLASSES:... ApiDump.java CLASSES`. What may be
 * null is told, by JSpecify's annotation; a class in a package that is not null-marked is an error, since there nothing
 * is told. Packages called `internal` are left out; a signature that names one of their classes is an error.
 */
class ApiDump {
    public static void main(String[] arguments) throws Exception {
        Path root = new File(arguments[0]).toPath();
        List<String> offered = new ArrayList<>();
        try (Stream<Path> files = Files.walk(root)) {
            for (Path file : files.filter(f -> f.toString().endsWith(".class")).collect(Collectors.toList())) {
                String name = root.relativize(file).toString().replace(".class", "").replace('/', '.');
                if (!name.contains(".internal.")) {
                    add(offered, Class.forName(name, false, ApiDump.class.getClassLoader()));
                }
            }
        }
        Collections.sort(offered);
        for (String line : offered) {
            System.out.println(line);
            if (line.contains(".internal.")) {
                System.err.println("an internal class is offered: " + line);
                System.exit(1);
            }
        }
    }

    private static void add(List<String> lines, Class<?> type) {
        for (Class<?> at = type; at != null; at = at.getEnclosingClass()) {
            if (!offered(at.getModifiers())) {
                return;
            }
        }
        if (!type.getPackage().isAnnotationPresent(NullMarked.class)) {
            System.err.println(type.getName() + " is in a package without @NullMarked");
            System.exit(1);
        }
        String name = type.getTypeName();
        lines.add(name + " " + Modifier.toString(type.getModifiers()) + (type.getGenericSuperclass() == null ? ""
                : " extends " + type.getGenericSuperclass().getTypeName()) + Stream.of(type.getGenericInterfaces())
                .map(i -> " implements " + i.getTypeName()).collect(Collectors.joining()));
        for (Field field : type.getDeclaredFields()) {
            addMember(lines, name, field, shown(field.getAnnotatedType()) + " " + field.getName());
        }
        for (Constructor<?> constructor : type.getDeclaredConstructors()) {
            addMember(lines, name, constructor, name + parameters(constructor));
        }
        for (Method method : type.getDeclaredMethods()) {
            addMember(lines, name, method, (method.isDefault() ? "default " : "")
                    + shown(method.getAnnotatedReturnType()) + " " + method.getName() + parameters(method));
        }
    }

    private static void addMember(List<String> lines, String type, Member member, String text) {
        boolean code = member instanceof Executable;
        if (offered(member.getModifiers()) && !(code && member.isSynthetic())) {
            int kinds = code ? Modifier.methodModifiers() : Modifier.fieldModifiers();
            lines.add(type + ": " + Modifier.toString(member.getModifiers() & kinds) + " " + text);
        }
    }

    private static String parameters(Executable code) {
        String all = Stream.of(code.getAnnotatedParameterTypes()).map(ApiDump::shown).collect(Collectors.joining(","));
        String thrown = Stream.of(code.getAnnotatedExceptionTypes()).map(ApiDump::shown)
                .collect(Collectors.joining(","));
        return "(" + (code.isVarArgs() ? all.replaceFirst("\\[]$", "...") : all) + ")"
                + (thrown.isEmpty() ? "" : " throws " + thrown);
    }

    /** A type with what is told of null, in the class itself and in what it holds. */
    private static String shown(AnnotatedType type) {
        return type.toString().replaceAll("@[a-z.]*\\.Nullable(\\(\\))?", "@Nullable");
    }

    private static boolean offered(int modifiers) {
        return Modifier.isPublic(modifiers) || Modifier.isProtected(modifiers);
    }
}
