import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Security;
import java.util.Collection;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cms.SignerInformationVerifier;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.tsp.TSPAlgorithms;
import org.bouncycastle.tsp.TimeStampRequest;
import org.bouncycastle.tsp.TimeStampResponse;
import org.bouncycastle.tsp.TimeStampToken;

/** Reads an answer of the time-stamping authority with BouncyCastle: {@code QUERY REPLY}, DER files. */
public class TimestampReader {
    public static void main(String[] words) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        TimeStampRequest request = new TimeStampRequest(Files.readAllBytes(Path.of(words[0])));
        TimeStampResponse response = new TimeStampResponse(Files.readAllBytes(Path.of(words[1])));
        response.validate(request);
        TimeStampToken token = response.getTimeStampToken();
        if (token == null) {
            System.out.println("refused " + response.getStatus() + " " + response.getFailInfo().intValue() + " " + response.getStatusString());
            return;
        }
        Collection<X509CertificateHolder> found = token.getCertificates().getMatches(token.getSID());
        SignerInformationVerifier verifier = new JcaSimpleSignerInfoVerifierBuilder().setProvider("BC").build(found.iterator().next());
        token.validate(verifier);
        System.out.println("valid " + token.getTimeStampInfo().getGenTime().toInstant() + " certificates "
            + token.getCertificates().getMatches(null).size() + " accuracy " + token.getTimeStampInfo().getAccuracy().getSeconds()
            + " ordered " + token.getTimeStampInfo().isOrdered() + " sha256 " + TSPAlgorithms.SHA256.equals(token.getTimeStampInfo().getMessageImprintAlgOID()));
    }
}
